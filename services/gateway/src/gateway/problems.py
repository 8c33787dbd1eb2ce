"""Every error as problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

RETRY_AFTER_SECONDS = 1


class Problem(Exception):
    """An error that the client is told of.

    Args:
        status: HTTP status of the answer.
        kind: What went wrong, as a slug; the `type` of the problem is `urn:problem:<kind>`.
        detail: What to do about it, for a person.
        members: Further members of the problem object.
    """

    def __init__(self, status: HTTPStatus, kind: str, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.members = members
        self.batch_id = ""
        """Of the batch that failed: hops behind the gateway log it as their request id."""

    def response(self, request: Request) -> Response:
        """The answer; 503 says when to come back, 413 closes the connection instead of reading on."""
        state = request.scope["state"]
        state["problem"] = self.kind
        if self.batch_id:
            state["batch_id"] = self.batch_id
        body = {
            "type": f"urn:problem:{self.kind}",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "request_id": state["request_id"],
            **self.members,
        }
        headers = {}
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if self.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            headers["Connection"] = "close"
        return Response(orjson.dumps(body), self.status.value, headers, "application/problem+json")


def unknown_environment(name: str, known: list[str]) -> Problem:
    """400: the header names no environment of ours."""
    detail = f"X-Environment {name!r} is not known; use one of: {', '.join(known)}"
    return Problem(HTTPStatus.BAD_REQUEST, "unknown-environment", detail, known_environments=known)


def too_large(what: str, limit: int) -> Problem:
    """413: a mail or a body is over its limit."""
    detail = f"{what} is larger than {limit:,} bytes; send less in one request"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail, limit_bytes=limit)


def invalid_body(errors: list[dict[str, str]]) -> Problem:
    """422: the body is not what the API describes."""
    detail = "; ".join(f"{error['field']}: {error['reason']}" for error in errors[:3])
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-body", detail, errors=errors)


def overloaded(environment: str) -> Problem:
    """503: the environment's queue is full."""
    detail = f"{environment} has no room for more mail now; try again in {RETRY_AFTER_SECONDS} s"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", detail)


def upstream_down(environment: str, reason: str) -> Problem:
    """503: a hop behind the gateway cannot be reached or is not ready."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "upstream-unavailable", f"{environment}: {reason}")


def upstream_slow(environment: str, seconds: float) -> Problem:
    """504: no answer before the deadline."""
    detail = f"{environment} did not answer within {seconds:g} s"
    return Problem(HTTPStatus.GATEWAY_TIMEOUT, "upstream-timeout", detail)


def upstream_failed(environment: str, reason: str) -> Problem:
    """502: a hop behind the gateway answered with an error or with nonsense."""
    return Problem(HTTPStatus.BAD_GATEWAY, "upstream-error", f"{environment}: {reason}")
