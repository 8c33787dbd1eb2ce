"""POST /api/v1/explain: a verdict, and the numbers that it rests on.

The endpoint is for people, not for load. Each request goes upstream alone, only a few of an environment run at once,
and no predict request passes through here.
"""

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from contract.tensors import GROUPS, QUANTILES
from gateway.http.bodies import PredictRequest
from gateway.http.request_record import record_of
from gateway.predictions.environment import Environment
from gateway.predictions.mails import ExplainedFeatures, Mail, Verdicts
from gateway.predictions.transformer_client import BatchRefused
from gateway.routing.api import PREFIX, Api, PredictResponse, as_json, origin
from gateway.routing.endpoints import Endpoints, endpoint
from gateway.settings import GatewaySettings
from runtime.tracing import Span


class Quantiles(BaseModel):
    """Quantiles of a number in a group of mails: 5 % of them are below `p05`, and so on; `p50` is the median."""

    p05: float
    p25: float
    p50: float
    p75: float
    p95: float


class TrainingQuantiles(BaseModel):
    """Quantiles of a number in the mail that the model was trained on."""

    all: Quantiles
    ham: Quantiles
    spam: Quantiles


class Feature(BaseModel):
    """A number that the transformer computed from the mail."""

    name: str = Field(examples=["exclamation_marks"])
    description: str = Field(examples=["exclamation marks in the text"])
    value: float = Field(examples=[3])
    baseline: TrainingQuantiles | None = Field(description="null where the model does not tell it.")


class ExplainResponse(PredictResponse):
    """Verdict on one mail, and the numbers that it rests on besides the words."""

    features: list[Feature]


class Explain(Endpoints):
    """The explain endpoint over the API's environments."""

    def __init__(self, settings: GatewaySettings, api: Api) -> None:
        super().__init__(api.turns)
        self._settings = settings
        self._api = api

    def router(self) -> APIRouter:
        """Return the route, documented for OpenAPI."""
        router = APIRouter(prefix=PREFIX, tags=["predict"], responses=self._api.problem_responses())
        router.add_api_route(
            "/explain",
            self.explain,
            methods=["POST"],
            operation_id="explain",
            responses={HTTPStatus.OK.value: {"model": ExplainResponse}},
            openapi_extra=self._api.documented(PredictRequest),
        )
        return router

    @endpoint
    async def explain(self, request: Request) -> Response:
        """Say whether one mail is spam, which numbers were computed from it, and what they are in other mail.

        The mail is answered, counted and recorded for drift detection as by predict.
        """
        environment, _ = self._api.admit(request)
        environment.admission.admit_explain()
        (content,) = (await self._api.mails(request, environment, PredictRequest)).contents
        record = record_of(request.scope)
        answer, features = await self._ask(environment, Mail(content, record.request_id), record.span)
        prediction, probability = answer.predictions[0], answer.probabilities[0]
        environment.count([answer])
        verdict = {"prediction": prediction, "spam_probability": probability}
        found = {**verdict, **origin(environment, answer, record.request_id), "features": _described(features)}
        return as_json(found, answer)

    async def _ask(self, environment: Environment, mail: Mail, span: Span | None) -> tuple[Verdicts, ExplainedFeatures]:
        with environment.admission.explaining():
            try:
                return await environment.transformer.explain(mail, self._settings.deadline_seconds, span)
            except BatchRefused as refused:
                raise refused.problem from None


def _described(features: ExplainedFeatures) -> list[dict[str, object]]:
    """Return the numbers as JSON objects shaped like `Feature`, in the transformer's order."""
    rows = zip(features.names, features.descriptions, features.values, strict=True)
    return [
        {
            "name": name,
            "description": description,
            "value": value,
            "baseline": _training_quantiles(features.quantiles, i),
        }
        for i, (name, description, value) in enumerate(rows)
    ]


def _training_quantiles(quantiles: list[float] | None, i: int) -> dict[str, dict[str, float]] | None:
    if quantiles is None:
        return None
    start, width = i * len(GROUPS) * len(QUANTILES), len(QUANTILES)
    return {
        group: dict(zip(QUANTILES, quantiles[start + j * width : start + (j + 1) * width], strict=True))
        for j, group in enumerate(GROUPS)
    }
