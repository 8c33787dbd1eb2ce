"""The HTTP API: predict and batch-predict."""

import asyncio
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from gateway import problems
from gateway.coalescer import Coalescer
from gateway.requests import BatchPredictRequest, PredictRequest, check_count, parse, read_body, sizes
from gateway.settings import Settings
from gateway.transformer_client import Answer, Mail

PREFIX = "/api/v1"
PREDICT_PATH = f"{PREFIX}/predict"


class Verdict(BaseModel):
    """What one mail is."""

    prediction: str = Field(description="`spam` or `ham`, by the model's threshold.", examples=["spam"])
    spam_probability: float = Field(ge=0, le=1, examples=[0.9931])


class PredictResponse(Verdict):
    """Verdict on one mail."""

    environment: str
    model_version: str
    request_id: str


class BatchPredictResponse(BaseModel):
    """Verdicts on several mails, in their order."""

    predictions: list[Verdict]
    count: int
    environment: str
    model_version: str
    request_id: str


class ProblemDetails(BaseModel):
    """Every error (RFC 9457)."""

    type: str = Field(examples=["urn:problem:unknown-environment"])
    title: str
    status: int
    detail: str = Field(description="What went wrong and what to do about it.")
    request_id: str


class Api:
    """The two endpoints over the environments' coalescers."""

    def __init__(self, settings: Settings, environments: dict[str, Coalescer]) -> None:
        self._settings = settings
        self._environments = environments
        self._known = list(settings.environments)

    def router(self) -> APIRouter:
        """The routes, documented for OpenAPI.

        The handlers take the bare request: reading and checking the body in one pass through
        pydantic's JSON parser costs a third of FastAPI's way through `json` and dependencies.
        """
        router = APIRouter(prefix=PREFIX, tags=["predict"], responses=problem_responses())
        for path, handler, body, response in (
            ("/predict", self.predict, PredictRequest, PredictResponse),
            ("/batch-predict", self.batch_predict, BatchPredictRequest, BatchPredictResponse),
        ):
            router.add_api_route(
                path,
                handler,
                methods=["POST"],
                responses={HTTPStatus.OK.value: {"model": response}},
                openapi_extra=self.documented(body),
            )
        return router

    async def predict(self, request: Request) -> Response:
        """Say whether one mail is spam."""
        environment = self.environment(request)
        body = await read_body(request, self._settings.max_body_bytes)
        content = parse(PredictRequest, body).email_content
        request_id = request.scope["state"]["request_id"]
        (future,) = environment.submit([Mail(content, request_id)], sizes([content], self._settings.max_mail_bytes))
        answer = await future
        prediction, probability = answer.predictions[0], answer.probabilities[0]
        environment.count(prediction, probability)
        verdict = {"prediction": prediction, "spam_probability": probability}
        return as_json({**verdict, **origin(environment, answer, request_id)}, answer)

    async def batch_predict(self, request: Request) -> Response:
        """Say of each of several mails whether it is spam."""
        environment = self.environment(request)
        body = await read_body(request, self._settings.max_body_bytes)
        emails = parse(BatchPredictRequest, body).emails
        check_count(emails, self._settings.max_emails)
        request_id = request.scope["state"]["request_id"]
        request.scope["state"]["mails"] = len(emails)
        mails = [Mail(email, request_id) for email in emails]
        answers = await _all(environment.submit(mails, sizes(emails, self._settings.max_mail_bytes)))
        verdicts = [
            {"prediction": prediction, "spam_probability": probability}
            for answer in answers
            for prediction, probability in zip(answer.predictions, answer.probabilities, strict=True)
        ]
        _count(environment, answers)
        content = {"predictions": verdicts, "count": len(verdicts), **origin(environment, answers[0], request_id)}
        return as_json(content, answers[0])

    def environment(self, request: Request) -> Coalescer:
        """The environment that the request asks for, noted for log and metrics.

        Raises:
            Problem: There is no such environment (400).
        """
        name = request.headers.get("x-environment", self._settings.default_environment)
        found = self._environments.get(name)
        if found is None:
            raise problems.unknown_environment(name, self._known)
        request.scope["state"]["environment"] = name
        return found

    def documented(self, body: type[BaseModel]) -> dict[str, Any]:
        """Headers and body of an endpoint, for OpenAPI."""
        environment = {
            "name": "X-Environment",
            "in": "header",
            "description": "Which environment answers.",
            "schema": {
                "type": "string",
                "enum": self._known,
                "default": self._settings.default_environment,
            },
        }
        request_id = {
            "name": "X-Request-ID",
            "in": "header",
            "description": "Names the request in answers and logs; made when absent.",
            "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,128}$"},
        }
        content = {"application/json": {"schema": body.model_json_schema()}}
        return {"parameters": [environment, request_id], "requestBody": {"required": True, "content": content}}


async def _all(pieces: list[asyncio.Future[Answer]]) -> list[Answer]:
    """The answers of all pieces; the first failure stands for the request once all pieces have ended."""
    outcomes = await asyncio.gather(*pieces, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Answer)]


def origin(environment: Coalescer, answer: Answer, request_id: str) -> dict[str, str]:
    """Who answered which request, as each answer says."""
    return {
        "environment": environment.environment,
        "model_version": answer.model_version,
        "request_id": request_id,
    }


def _count(environment: Coalescer, answers: list[Answer]) -> None:
    for answer in answers:
        for prediction, probability in zip(answer.predictions, answer.probabilities, strict=True):
            environment.count(prediction, probability)


def as_json(content: dict[str, Any], answer: Answer) -> Response:
    """An answer's body, with its model's digest as a header."""
    headers = {"X-Model-SHA256": answer.model_sha256} if answer.model_sha256 else None
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")


def problem_responses() -> dict[int | str, dict[str, Any]]:
    """The errors of every endpoint, for OpenAPI."""
    content = {"application/problem+json": {"schema": ProblemDetails.model_json_schema()}}
    described = {
        HTTPStatus.BAD_REQUEST: "Unknown environment or malformed request id",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "A mail over 1 MiB or a body over 16 MiB",
        HTTPStatus.UNPROCESSABLE_ENTITY: "The body is not what this document describes",
        HTTPStatus.BAD_GATEWAY: "The environment answered with an error",
        HTTPStatus.SERVICE_UNAVAILABLE: "The environment is full or down; see Retry-After",
        HTTPStatus.GATEWAY_TIMEOUT: "The environment did not answer before the deadline",
    }
    return {status.value: {"description": text, "content": content} for status, text in described.items()}
