"""OpenAPI document (`/openapi.json`): what it says beyond what FastAPI derives by itself.

It lists every status that an operation can answer and describes headers exactly as they are checked. Tests that
schemathesis makes from the document find no other.
"""

from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.http.bodies import BatchPredictRequest, PredictRequest
from gateway.problems import MEDIA_TYPE

REQUEST_ID_PATTERN = r"^[\x21-\x7e]{1,128}$"
PROBE_STATUSES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.NOT_IMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
)
PREDICT_STATUSES = (
    *PROBE_STATUSES,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.GATEWAY_TIMEOUT,
)
KEY_STATUSES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
"""Additional statuses if API keys are required."""

_WHEN = {
    HTTPStatus.BAD_REQUEST: "Unknown environment, malformed request id or key, header given twice, or no HTTP request",
    HTTPStatus.UNAUTHORIZED: "No API key, or an unknown one",
    HTTPStatus.FORBIDDEN: "The key is barred from this environment; `allowed_environments` names its own",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not arrive in time",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "A mail over 1 MiB or a body over 16 MiB",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body has a Content-Encoding",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The body is not what this document describes",
    HTTPStatus.TOO_MANY_REQUESTS: "The key sends more than its rate; see Retry-After",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "Request line and headers over 64 KiB",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A bug; the log has its reason under the request id",
    HTTPStatus.NOT_IMPLEMENTED: "A Transfer-Encoding other than chunked",
    HTTPStatus.BAD_GATEWAY: "The environment answered with an error",
    HTTPStatus.SERVICE_UNAVAILABLE: "The environment is full or down, or too many connections; see Retry-After",
    HTTPStatus.GATEWAY_TIMEOUT: "The environment did not answer before the deadline",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "An HTTP version other than 1.1 and 1.0",
}
_SAME_ID = {"schema": {"type": "string"}, "required": True, "description": "The request's id, taken or made."}


class FieldError(BaseModel):
    """A fault in a field of the body."""

    field: str = Field(description="`body` for the whole of it.", examples=["email_content"])
    reason: str


class ProblemDetails(BaseModel):
    """Problem details of an error (RFC 9457)."""

    type: str = Field(examples=["urn:problem:unknown-environment"])
    title: str
    status: int
    detail: str = Field(description="What went wrong and what to do about it.")
    request_id: str
    errors: list[FieldError] = Field(default_factory=list, description="The body's faults, of `invalid-body`.")
    known_environments: list[str] = Field(default_factory=list, description="Of `unknown-environment`.")
    allowed_environments: list[str] = Field(default_factory=list, description="The key's, of `forbidden-environment`.")


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class Ready(BaseModel):
    """Readiness of the environments."""

    status: Literal["ready", "unready"]
    environments: dict[str, str] = Field(examples=[{"staging": "ready", "production": "unreachable"}])
    reasons: dict[str, str] | None = Field(None, description="What transformers that are not ready say about it")


COMPONENTS: tuple[type[BaseModel], ...] = (ProblemDetails, Ready, PredictRequest, BatchPredictRequest)
"""Models that operations refer to by name; FastAPI adds all others."""


def reference(model: type[BaseModel]) -> dict[str, Any]:
    """Return a reference to the schema of one of `COMPONENTS`."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def with_components(document: dict[str, Any], security_schemes: dict[str, Any] | None) -> None:
    """Add the referenced schemas to a document, and the ways to send a key if keys are required."""
    components = document.setdefault("components", {})
    for model in COMPONENTS:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        components.setdefault("schemas", {}).update(schema.pop("$defs", {}) | {model.__name__: schema})
    if security_schemes:
        components["securitySchemes"] = security_schemes


def problem_responses(statuses: tuple[HTTPStatus, ...]) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for an operation that can answer with problems of these statuses."""
    content = {MEDIA_TYPE: {"schema": reference(ProblemDetails)}}
    return {
        status.value: {"description": _WHEN[status], "content": content, "headers": _headers(status)}
        for status in statuses
    }


def ready_responses() -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for the readiness probe; both statuses have the same object."""
    content = {"application/json": {"schema": reference(Ready)}}
    responses = problem_responses(PROBE_STATUSES)
    unready = responses[HTTPStatus.SERVICE_UNAVAILABLE.value]
    unready["description"] = "No environment can be served; or, as a problem, too many connections"
    unready["content"] = content | unready["content"]
    del unready["headers"]["Retry-After"]
    return responses | {HTTPStatus.OK.value: {"description": "Some environment can be served", "content": content}}


def metrics_responses() -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for the metrics, which are plain text."""
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {
        **problem_responses(PROBE_STATUSES),
        HTTPStatus.OK.value: {"description": "Prometheus metrics", "content": content},
    }


def described_request_id() -> dict[str, Any]:
    """Return the parameter `X-Request-ID`."""
    return {
        "name": "X-Request-ID",
        "in": "header",
        "description": "Names the request in answers and logs; made when absent. Given twice, it is refused.",
        "schema": {"type": "string", "pattern": REQUEST_ID_PATTERN},
    }


def described_environment(known: list[str], default: str) -> dict[str, Any]:
    """Return the parameter `X-Environment`."""
    return {
        "name": "X-Environment",
        "in": "header",
        "description": "Which environment answers. Given twice, it is refused.",
        "schema": {"type": "string", "enum": known, "default": default},
    }


def described_canary_key() -> dict[str, Any]:
    """Return the parameter `X-Canary-Key`."""
    return {
        "name": "X-Canary-Key",
        "in": "header",
        "description": "While a new release is tried on a share of the requests, all those with one key are answered "
        "by the same; without it, each request is chosen by its id. Given twice, it is refused.",
        "schema": {"type": "string", "pattern": REQUEST_ID_PATTERN},
    }


def _headers(status: HTTPStatus) -> dict[str, Any]:
    if status not in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        return {"X-Request-ID": _SAME_ID}
    seconds = {"schema": {"type": "integer"}, "required": True, "description": "Seconds until the next attempt."}
    return {"X-Request-ID": _SAME_ID, "Retry-After": seconds}
