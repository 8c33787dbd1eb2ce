"""KServe model in the transformer role."""

import asyncio
from dataclasses import dataclass, replace
from http import HTTPStatus
from time import monotonic
from typing import Any
from uuid import uuid4

from kserve import InferOutput, InferRequest, InferResponse, Model

from contract import tensors
from features import DESCRIPTIONS, NAMES, Features, extract
from inferencelog import Rows, ShadowRows
from kserving import InvalidInput, Unavailable, flag, strings, tensor
from runtime.tracing import part
from transformer.deadline import read_deadline
from transformer.feature_columns import QUANTILES_SHAPE, Scores
from transformer.inference_log import InferenceLog, NoInferenceLog
from transformer.predictor_client import PredictorClient
from transformer.shadow import ProductionAnswers, read_shadow_inputs, shadow_rows

INLINE_CHARACTERS = 256_000
"""Characters of all mails together above which they are parsed in a thread, so that probes are answered meanwhile."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The mails of one request on their way through the model."""

    id: str
    request_ids: list[str]
    mails: list[Features]
    deadline: float
    """Time on the clock `time.monotonic` until which the predictor's answer is of use."""
    explain: bool
    """Whether the answer shows the features."""
    began: float
    """Time on the same clock when reading of the request began."""
    shadow: ProductionAnswers | None
    """Another environment's answers, if these mails are only sent to be compared."""
    scores: Scores | None = None


class FeatureTransformer(Model):  # type: ignore[misc]
    """Spam probabilities of mails, from features and a predictor.

    Inputs are `email_content` BYTES [n] and, optionally, `request_id` BYTES [n], which names the client's requests in
    the inference log. Outputs are `spam_probability` FP64 [n] and `prediction` BYTES [n], "spam" or "ham". The answer's
    parameters carry the `threshold` of these predictions, the environment's own or else the model's, and the model's
    `model_sha256`.

    If the request parameter `explain` is true, the answer also shows the features:

    - `features` FP64 [n, k], and of these k numbers `feature_names` and `feature_descriptions` BYTES [k].
    - `feature_quantiles` FP64 [k, 3, 5], if the predictor knows them: the numbers in training mail (all, ham, spam; 5,
      25, 50, 75, 95 %).

    An explained mail is in the inference log like any other. A shadowed mail (`transformer.shadow`) is not: it is
    recorded beside production's answer, and nowhere else.
    """

    def __init__(
        self,
        name: str,
        predictor: PredictorClient,
        inference_log: InferenceLog[Rows],
        spam_threshold: float | None = None,
        shadow_log: InferenceLog[ShadowRows] | None = None,
    ) -> None:
        super().__init__(name)
        self._predictor = predictor
        self._inference_log = inference_log
        self._shadow_log: InferenceLog[ShadowRows] = shadow_log or NoInferenceLog()
        self._spam_threshold = spam_threshold
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return the inputs as metadata tensors; -1 is the number of mails."""
        return [
            {"name": name, "datatype": "BYTES", "shape": [-1]} for name in (tensors.EMAIL_CONTENT, tensors.REQUEST_ID)
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return the outputs as metadata tensors; -1 is the number of mails."""
        return [
            {"name": tensors.SPAM_PROBABILITY, "datatype": "FP64", "shape": [-1]},
            {"name": tensors.PREDICTION, "datatype": "BYTES", "shape": [-1]},
        ]

    async def preprocess(self, payload: InferRequest | dict[str, Any], headers: dict[str, str] | None = None) -> Batch:
        """Return the request's mails as features."""
        if not isinstance(payload, InferRequest):
            raise InvalidInput("this model speaks protocol v2 only: POST /v2/models/{name}/infer")
        began, deadline = monotonic(), read_deadline(headers)
        emails = strings(tensor(payload, tensors.EMAIL_CONTENT))
        if not emails:
            raise InvalidInput("input 'email_content' holds no mail; expected 1 or more")
        explain = flag(payload, tensors.EXPLAIN)
        batch_id = payload.id or str(uuid4())
        request_ids = _request_ids(payload, batch_id, len(emails))
        shadow = read_shadow_inputs(payload, len(emails))
        with part("extract features", mails=len(emails)):
            return Batch(batch_id, request_ids, await _extract(emails), deadline, explain, began, shadow)

    def validate(self, payload: Batch) -> Batch:
        """Return the batch unchanged: the SDK's own check only knows request bodies."""
        return payload

    async def predict(self, payload: Batch, headers: dict[str, str] | None = None) -> Batch:
        """Return the batch with the predictor's scores."""
        scores = await self._predictor.score(payload.mails, payload.id, payload.deadline, payload.explain)
        return replace(payload, scores=scores)

    async def postprocess(self, result: Batch, headers: dict[str, str] | None = None) -> InferResponse:
        """Record the batch and return the answer."""
        assert result.scores is not None
        threshold = self._threshold(result.scores)
        spam = result.scores.spam
        labels = ["spam" if p >= threshold else "ham" for p in spam]
        self._record(result, result.scores, labels)
        return InferResponse(
            response_id=result.id,
            model_name=self.name,
            model_version=result.scores.model_version,
            parameters=_model(result.scores, threshold),
            infer_outputs=[
                InferOutput(tensors.SPAM_PROBABILITY, [len(spam)], "FP64", data=spam),
                InferOutput(tensors.PREDICTION, [len(spam)], "BYTES", data=labels),
                *(_explanation(result.mails, result.scores) if result.explain else []),
            ],
        )

    def _record(self, batch: Batch, scores: Scores, labels: list[str]) -> None:
        values = [mail.values for mail in batch.mails]
        if batch.shadow is None:
            rows = Rows(batch.request_ids, values, scores.spam, scores.model_version, scores.model_sha256)
            self._inference_log.append(rows)
        else:
            seconds = monotonic() - batch.began
            self._shadow_log.append(shadow_rows(batch.shadow, batch.request_ids, values, scores, labels, seconds))

    def _threshold(self, scores: Scores) -> float:
        """Return the environment's threshold, or else the model's own."""
        threshold = scores.threshold if self._spam_threshold is None else self._spam_threshold
        if threshold is None:
            raise Unavailable(
                "the predictor does not say its model's threshold: set SPAM_THRESHOLD", HTTPStatus.BAD_GATEWAY
            )
        return threshold


def _model(scores: Scores, threshold: float) -> dict[str, float | str]:
    """Return the parameters of the answer: the threshold and, if known, the model's digest."""
    # One version may have two files, and a release pins one of them.
    return {tensors.THRESHOLD: threshold} | ({tensors.MODEL_SHA256: scores.model_sha256} if scores.model_sha256 else {})


async def _extract(emails: list[str]) -> list[Features]:
    if sum(map(len, emails)) <= INLINE_CHARACTERS:
        return [extract(email) for email in emails]
    return await asyncio.to_thread(lambda: [extract(email) for email in emails])


def _request_ids(request: InferRequest, batch_id: str, n: int) -> list[str]:
    if all(tensor.name != "request_id" for tensor in request.inputs):
        return [batch_id] * n
    ids = strings(tensor(request, tensors.REQUEST_ID))
    if len(ids) != n:
        raise InvalidInput(f"input 'request_id' has {len(ids)} rows, 'email_content' has {n}; they must agree")
    return ids


def _explanation(mails: list[Features], scores: Scores) -> list[InferOutput]:
    n, k = len(mails), len(NAMES)
    seen = [
        InferOutput(tensors.FEATURES, [n, k], "FP64", data=[value for mail in mails for value in mail.values]),
        InferOutput(tensors.FEATURE_NAMES, [k], "BYTES", data=list(NAMES)),
        InferOutput(tensors.FEATURE_DESCRIPTIONS, [k], "BYTES", data=list(DESCRIPTIONS.values())),
    ]
    if scores.quantiles is None:
        return seen
    return [*seen, InferOutput(tensors.FEATURE_QUANTILES, QUANTILES_SHAPE, "FP64", data=scores.quantiles)]
