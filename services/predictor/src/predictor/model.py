"""KServe model that scores mails with a bundle."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from kserve import InferOutput, InferRequest, InferResponse, Model

from bundle import Bundle, quantiles
from contract import tensors
from kserving import InvalidInput, flag
from predictor.columns import Table, from_instances, from_tensors
from runtime.tracing import part


class SpamModel(Model):  # type: ignore[misc]
    """Spam probabilities from the model of one bundle.

    Protocol v2 takes one input a column: `text` BYTES [n, 1], and each named feature FP32 [n, 1]. The output is
    `predict_proba` FP64 [n, 2], last column spam. The answer's parameters describe the model, not the mail: threshold,
    feature schema version, and the bundle's digest, by which a release pins it.

    If the request parameter `explain` is true, the answer has another output `feature_quantiles` FP64 [k, 3, 5]. It
    holds, for each of the k numbers, over all, ham and spam of the training mail, the quantiles 5, 25, 50, 75 and 95 %.
    A bundle without them adds nothing.

    Protocol v1: `{"instances": [{"text": …, "<feature>": …}]}` -> `{"predictions": [p, …]}`.
    """

    def __init__(self, name: str, bundle: Bundle, max_rows: int) -> None:
        super().__init__(name)
        self._bundle = bundle
        self._max_rows = max_rows
        # Scoring holds the interpreter lock most of the time, so a second thread would only add switching.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="score")
        manifest = bundle.manifest
        self._parameters = {
            tensors.THRESHOLD: manifest.threshold,
            tensors.FEATURE_SCHEMA_VERSION: manifest.feature_schema_version,
            tensors.MODEL_SHA256: manifest.sha256,
        }
        self._quantiles = _quantiles(bundle)
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the columns as metadata tensors; -1 is the number of mails."""
        text, *numeric = self._bundle.columns
        columns = [{"name": text, "datatype": "BYTES", "shape": [-1, 1]}]
        return columns + [{"name": name, "datatype": "FP32", "shape": [-1, 1]} for name in numeric]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the probabilities of ham and spam as a metadata tensor."""
        return [{"name": tensors.PREDICT_PROBA, "datatype": "FP64", "shape": [-1, 2]}]

    async def predict(
        self, payload: InferRequest | dict[str, Any], headers: dict[str, str] | None = None
    ) -> InferResponse | dict[str, Any]:
        """Score one request off the event loop, so that probes are answered meanwhile."""
        if isinstance(payload, InferRequest):
            _check_outputs(payload)
            table = from_tensors(payload, self._bundle.columns, self._max_rows)
            return self._response(payload, await self._score(table))
        if not isinstance(payload, dict):
            raise InvalidInput("the body is no JSON object; protocol v1 needs Content-Type application/json")
        table = from_instances(payload.get("instances"), self._bundle.columns, self._max_rows)
        return {"predictions": (await self._score(table)).tolist()}

    async def _score(self, table: Table) -> npt.NDArray[np.float64]:
        loop = asyncio.get_running_loop()
        try:
            with part("score", rows=len(table.texts)):
                return await loop.run_in_executor(self._executor, self._bundle.score, table.texts, table.values)
        except ValueError as error:
            raise InvalidInput(str(error)) from None

    def _response(self, request: InferRequest, spam: npt.NDArray[np.float64]) -> InferResponse:
        output = InferOutput(
            tensors.PREDICT_PROBA, [len(spam), 2], "FP64", data=np.column_stack((1 - spam, spam)).ravel().tolist()
        )
        outputs = [output, *self._quantiles] if flag(request, tensors.EXPLAIN) else [output]
        return InferResponse(
            response_id=request.id or str(uuid4()),
            model_name=self.name,
            model_version=self._bundle.manifest.version,
            infer_outputs=outputs,
            parameters=self._parameters,
        )


def _check_outputs(request: InferRequest) -> None:
    unknown = [output.name for output in request.request_outputs or [] if output.name != tensors.PREDICT_PROBA]
    if unknown:
        raise InvalidInput(f"unknown output {', '.join(unknown)}; the model has '{tensors.PREDICT_PROBA}'")


def _quantiles(bundle: Bundle) -> list[InferOutput]:
    """Return the output with the training mail's quantiles, or nothing if the bundle has none."""
    found, names = bundle.manifest.feature_quantiles, bundle.columns[1:]
    if found is None:
        return []
    shape = [len(names), len(quantiles.GROUPS), len(quantiles.LEVELS)]
    return [InferOutput(tensors.FEATURE_QUANTILES, shape, "FP64", data=quantiles.flat(found, names))]
