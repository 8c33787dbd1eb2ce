"""Every error as problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from runtime import masked

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
ENDING = (
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
)
"""Answers after which nothing more is read from their connections."""
OVERLOADED = "overloaded"
"""The kind of problem that a full queue is."""
REPEATED_CHARACTERS = 100
"""Of a client's own words that an answer repeats."""


class Problem(Exception):
    """An error that the client is told of.

    Args:
        status: HTTP status of the answer.
        kind: What went wrong, as a slug; the `type` of the problem is `urn:problem:<kind>`.
        detail: What to do about it, for a person.
        headers: Of the answer, beside those that its status brings.
        members: Further members of the problem object.
    """

    def __init__(
        self, status: HTTPStatus, kind: str, detail: str, headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self._headers = headers or {}
        self.status = status
        self.kind = kind
        self.detail = detail
        self.members = members
        self.batch_id = ""
        """Of the batch that failed: hops behind the gateway log it as their request id."""

    def response(self, request: Request) -> Response:
        """The answer."""
        state = request.scope["state"]
        state["problem"] = self.kind
        if self.batch_id:
            state["batch_id"] = self.batch_id
        return Response(self.body(state["request_id"]), self.status.value, self.headers(), MEDIA_TYPE)

    def body(self, request_id: str) -> bytes:
        """The problem object as JSON."""
        content = {
            "type": f"urn:problem:{self.kind}",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "request_id": request_id,
            **self.members,
        }
        # A client's own words may hold its key; answers are logged by proxies and clients.
        return masked(orjson.dumps(content))

    def headers(self) -> dict[str, str]:
        """503 says when to come back; 413 and 408 close the connection instead of reading on."""
        headers = dict(self._headers)
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if self.status in ENDING:
            headers["Connection"] = "close"
        return headers


def unknown_environment(name: str, known: list[str]) -> Problem:
    """400: the header names no environment of ours."""
    detail = f"X-Environment {name[:REPEATED_CHARACTERS]!r} is not known; use one of: {', '.join(known)}"
    return Problem(HTTPStatus.BAD_REQUEST, "unknown-environment", detail, known_environments=known)


def unauthorized(reason: str, challenge: str = "Bearer") -> Problem:
    """401: no key, or none of ours; `challenge` as RFC 6750, section 3 has it."""
    detail = f"{reason}; send `Authorization: Bearer KEY` or `X-API-Key: KEY`"
    return Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, {"WWW-Authenticate": challenge})


def forbidden_environment(key: str, environment: str, allowed: list[str]) -> Problem:
    """403: the key is barred from this environment."""
    detail = f"key {key} may not ask {environment}; set X-Environment to one of: {', '.join(allowed)}"
    return Problem(HTTPStatus.FORBIDDEN, "forbidden-environment", detail, allowed_environments=allowed)


def rate_limited(key: str, mails_per_second: float, seconds: int) -> Problem:
    """429: the key has sent its share; whole seconds until it may send again."""
    detail = f"key {key} may send {mails_per_second:g} mails a second; try again in {seconds} s"
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "rate-limited", detail, {"Retry-After": str(seconds)})


def malformed_canary_key() -> Problem:
    """400: the key by which a canary chooses is none."""
    detail = "X-Canary-Key is not 1 to 128 printable ASCII characters without spaces"
    return Problem(HTTPStatus.BAD_REQUEST, "invalid-canary-key", detail)


def repeated_header(name: str) -> Problem:
    """400: a header that may stand once stands several times; which of them holds would be a guess."""
    return Problem(HTTPStatus.BAD_REQUEST, "repeated-header", f"{name} is given more than once; give it once or not")


def incomplete_request() -> Problem:
    """400: the client has ended its side of the connection within a request."""
    detail = "the request ended before it was complete; send as many bytes as Content-Length says, or the last chunk"
    return Problem(HTTPStatus.BAD_REQUEST, "incomplete-request", detail)


def too_much_waiting(limit: int) -> Problem:
    """503: heads and requests that wait behind others of their connections take all the room that they have."""
    detail = f"{limit:,} bytes of requests wait already, over all connections; try again in {RETRY_AFTER_SECONDS} s"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too-much-waiting", detail)


def encoded_body(encoding: str) -> Problem:
    """415: the body is compressed, which hides its size."""
    detail = f"Content-Encoding {encoding[:REPEATED_CHARACTERS]!r} is not taken; send the body as it is"
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "encoded-body", detail)


def too_large(what: str, limit: int) -> Problem:
    """413: a mail or a body is over its limit."""
    detail = f"{what} is larger than {limit:,} bytes; send less in one request"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail, limit_bytes=limit)


def invalid_body(errors: list[dict[str, str]]) -> Problem:
    """422: the body is not what the API describes."""
    detail = "; ".join(f"{error['field']}: {error['reason']}" for error in errors[:3])
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-body", detail, errors=errors)


def too_slow(what: str, seconds: float) -> Problem:
    """408: a request did not arrive in time."""
    detail = f"{what} took longer than {seconds:g} s to arrive; send it in one go"
    return Problem(HTTPStatus.REQUEST_TIMEOUT, "request-timeout", detail)


def too_many_connections(limit: int) -> Problem:
    """503: every connection that may be open has a request under way."""
    detail = f"{limit:,} connections are open and busy; try again in {RETRY_AFTER_SECONDS} s"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too-many-connections", detail)


def overloaded(environment: str) -> Problem:
    """503: the environment's queue is full."""
    detail = f"{environment} has no room for more mail now; try again in {RETRY_AFTER_SECONDS} s"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, OVERLOADED, detail)


def upstream_down(environment: str, reason: str) -> Problem:
    """503: a hop behind the gateway cannot be reached or is not ready."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "upstream-unavailable", f"{environment}: {reason}")


def upstream_slow(environment: str, seconds: float, reason: str) -> Problem:
    """504: no answer before the deadline; `reason` names the hop that it was waited for."""
    detail = f"{environment}: {reason} within {seconds:.3g} s"
    return Problem(HTTPStatus.GATEWAY_TIMEOUT, "upstream-timeout", detail)


def upstream_failed(environment: str, reason: str) -> Problem:
    """502: a hop behind the gateway answered with an error or with nonsense."""
    return Problem(HTTPStatus.BAD_GATEWAY, "upstream-error", f"{environment}: {reason}")
