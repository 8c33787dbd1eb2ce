"""The HTTP API: predict and batch-predict."""

import math
from enum import StrEnum
from http import HTTPStatus
from time import monotonic
from typing import Annotated, Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from gateway import problems
from gateway.access.callers import SECURITY, Access
from gateway.http.bodies import BatchPredictRequest, PredictRequest, read_body, read_mails
from gateway.http.canary_key import canary_key
from gateway.http.large_body import Mails
from gateway.http.request_record import record_of
from gateway.http.turns import Turns
from gateway.predictions.environment import Environment
from gateway.predictions.mails import Mail, Verdicts
from gateway.predictions.predict import Context, Predictions
from gateway.routing import openapi
from gateway.routing.endpoints import Endpoints, endpoint
from gateway.settings import GatewaySettings
from httpserver import EXTENSION

PREFIX = "/api/v1"
PREDICT_PATH = f"{PREFIX}/predict"
BATCH_PREDICT_PATH = f"{PREFIX}/batch-predict"
BYTES_OF_A_MAIL = 64 * 1024
"""Bytes of a body that count as one mail against a key's rate, if the body holds fewer mails."""
PIECE_PAUSE_SECONDS = 0.002
"""Seconds between two pieces of large bodies, over all requests, beside single mails."""
BESIDE_MAIL_SECONDS = 0.1
"""Seconds after a single mail in which another is expected. Without mail, large bodies are read without pauses."""


class Prediction(StrEnum):
    """The verdict: spam if the probability is at least the threshold, else ham."""

    SPAM = "spam"
    HAM = "ham"


class Verdict(BaseModel):
    """The verdict on one mail."""

    prediction: Prediction
    spam_probability: float = Field(ge=0, le=1, examples=[0.9931])


Threshold = Annotated[
    float | None,
    Field(
        ge=0,
        le=1,
        description="Spam probability from which a mail is called spam: the environment's own, or else the model's; "
        "null where the environment's transformer is too old to send it.",
        examples=[0.948],
    ),
]


class BatchVerdict(Verdict):
    """The verdict on one of several mails."""

    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Only where it differs from the answer's own threshold: a release changed it meanwhile.",
    )


class PredictResponse(Verdict):
    """Verdict on one mail."""

    threshold: Threshold
    environment: str
    model_version: str
    request_id: str


class BatchPredictResponse(BaseModel):
    """Verdicts on several mails, in their order."""

    predictions: list[BatchVerdict]
    count: int
    threshold: Threshold
    environment: str
    model_version: str = Field(description="The model of the first mail, should a release change it meanwhile.")
    request_id: str


class Api(Endpoints):
    """The predict and batch-predict endpoints, with or without API keys."""

    def __init__(
        self,
        settings: GatewaySettings,
        environments: dict[str, Environment],
        predictions: Predictions,
        turns: Turns,
        access: Access | None = None,
    ) -> None:
        super().__init__(turns)
        self._settings = settings
        self._predictions = predictions
        self._access = access
        self._environments = environments
        self._known = list(settings.environments)
        self._pieces = Turns(1, PIECE_PAUSE_SECONDS, self._is_beside_mail)

    def router(self) -> APIRouter:
        """Return the routes, documented for OpenAPI.

        The handlers take the bare request. Reading and checking the body in one pass through pydantic's JSON parser
        costs a third of FastAPI's way through `json` and dependencies.
        """
        router = APIRouter(prefix=PREFIX, tags=["predict"], responses=self.problem_responses())
        for path, handler, body, response in (
            ("/predict", self.predict, PredictRequest, PredictResponse),
            ("/batch-predict", self.batch_predict, BatchPredictRequest, BatchPredictResponse),
        ):
            router.add_api_route(
                path,
                handler,
                methods=["POST"],
                operation_id=handler.__name__,
                responses={HTTPStatus.OK.value: {"model": response}},
                openapi_extra=self.documented(body),
            )
        return router

    @endpoint
    async def predict(self, request: Request) -> Response:
        """Say whether one mail is spam."""
        environment, key = self.admit(request)
        read = await self.mails(request, environment, PredictRequest)
        record = record_of(request.scope)
        mail = Mail(read.contents[0], record.request_id)
        answered, (answer,) = await self._answer(request, environment, key, [mail], read.sizes)
        if record.span is not None:
            record.span.set(model__version=answer.model_version, mails=1)
        prediction, probability = answer.predictions[0], answer.probabilities[0]
        verdict = {"prediction": prediction, "spam_probability": probability}
        return as_json({**verdict, **origin(answered, answer, record.request_id)}, answer)

    @endpoint
    async def batch_predict(self, request: Request) -> Response:
        """Say of each of several mails whether it is spam."""
        environment, key = self.admit(request)
        read = await self.mails(request, environment, BatchPredictRequest)
        record = record_of(request.scope)
        record.mails = len(read.contents)
        mails = [Mail(email, record.request_id) for email in read.contents]
        answered, answers = await self._answer(request, environment, key, mails, read.sizes)
        if record.span is not None:
            record.span.set(model__version=answers[0].model_version)
        verdicts = [verdict for answer in answers for verdict in _verdicts(answer, answers[0].threshold)]
        content = {"predictions": verdicts, "count": len(verdicts), **origin(answered, answers[0], record.request_id)}
        return as_json(content, answers[0])

    async def _answer(
        self, request: Request, environment: Environment, key: str | None, mails: list[Mail], sizes: list[int]
    ) -> tuple[Environment, list[Verdicts]]:
        """Return the environment that answered and its answers; an experiment may have chosen another environment."""
        # With this, the server can cancel what the client no longer waits for.
        server = request.scope.get("extensions", {}).get(EXTENSION)
        record = record_of(request.scope)
        context = Context(key, record.span, server.awaits if server is not None else None)
        predicted = await self._predictions.predict(environment, mails, sizes, context)
        if predicted.by_canary:
            record.answered_by = predicted.environment.name
        return predicted.environment, predicted.answers

    def admit(self, request: Request) -> tuple[Environment, str | None]:
        """Make every check that needs no body.

        Returns:
            The environment that the request is for, and the key that a canary chooses by: its own, or else its id.
            None if no canary may answer it.

        Raises:
            Problem: 400 if the environment is unknown or given twice, or the canary key is malformed; 401, 403 or 429
                if the API key is missing, barred or over its rate.
        """
        caller = self._access.caller(request) if self._access else None
        given = request.headers.getlist("x-environment")
        if len(given) > 1:
            raise problems.repeated_header("X-Environment")
        name = given[0] if given else self._settings.default_environment
        found = self._environments.get(name)
        if found is None:
            raise problems.unknown_environment(name, self._known)
        record = record_of(request.scope)
        record.environment = name
        # Checked even without a canary: a client with a malformed key should not find out only when one starts.
        key = canary_key(request) or record.request_id
        if caller:
            caller.enter(name)
        return found, key if record.may_go_to_canary else None

    async def mails(self, request: Request, environment: Environment, model: type[BaseModel]) -> Mails:
        """Return the mails of a request's body, within the limits of its environment.

        The key pays for the mails, or for the bytes of the body if they count more, even if the request is refused
        then.

        Raises:
            Problem: As `read_body` and `read_mails`, or 429 if concurrent requests have put the key into debt.
        """
        body = await read_body(request, self._settings, environment.admission, self._pieces)
        paid = max(1, math.ceil(len(body) / BYTES_OF_A_MAIL))
        if self._access and paid > 1:
            self._access.charge(request, paid - 1)
        read = await read_mails(model, body, self._settings, self._pieces)
        if self._access and len(read.contents) > paid:
            self._access.charge(request, len(read.contents) - paid)
        return read

    def _is_beside_mail(self) -> bool:
        last = max(environment.coalescer.last_single for environment in self._environments.values())
        return monotonic() - last < BESIDE_MAIL_SECONDS

    def problem_responses(self) -> dict[int | str, dict[str, Any]]:
        """Return the error responses of every endpoint, for OpenAPI."""
        return openapi.problem_responses(openapi.PREDICT_STATUSES + (openapi.KEY_STATUSES if self._access else ()))

    def documented(self, body: type[BaseModel]) -> dict[str, Any]:
        """Return the headers and body of an endpoint, for OpenAPI."""
        environment = openapi.described_environment(self._known, self._settings.default_environment)
        content = {"application/json": {"schema": openapi.reference(body)}}
        documented = {
            "parameters": [environment, openapi.described_request_id(), openapi.described_canary_key()],
            "requestBody": {"required": True, "content": content},
        }
        return documented | ({"security": SECURITY} if self._access else {})


def _verdicts(answer: Verdicts, threshold: float | None) -> list[dict[str, object]]:
    """Return a verdict on each mail, with its own threshold if that is not the one beside all verdicts."""
    own = {} if answer.threshold == threshold else {"threshold": answer.threshold}
    return [
        {"prediction": prediction, "spam_probability": probability, **own}
        for prediction, probability in zip(answer.predictions, answer.probabilities, strict=True)
    ]


def origin(environment: Environment, answer: Verdicts, request_id: str) -> dict[str, float | str | None]:
    """Return the fields that say which environment, model and request an answer belongs to."""
    return {
        "threshold": answer.threshold,
        "environment": environment.name,
        "model_version": answer.model_version,
        "request_id": request_id,
    }


def as_json(content: dict[str, Any], answer: Verdicts) -> Response:
    """Return the response for an answer, with its model's digest as a header."""
    headers = {"X-Model-SHA256": answer.model_sha256} if answer.model_sha256 else None
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")
