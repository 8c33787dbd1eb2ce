"""Errors as problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any

import orjson

from runtime import masked

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
ENDING = (
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
)
"""Statuses whose answers close the connection, since nothing more is read from it."""
OVERLOADED = "overloaded"
"""Kind of the problem that a full queue causes."""
REPEATED_CHARACTERS = 100
"""Characters of a client's input that an answer repeats."""


class Problem(Exception):
    """An error that is sent to the client.

    Args:
        status: HTTP status of the answer.
        kind: What went wrong, as a slug; the `type` of the problem is `urn:problem:<kind>`.
        detail: What to do about it, in words for people.
        headers: Headers of the answer, in addition to those of its status.
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
        """Id of the batch that failed; hops behind the gateway log it as their request id."""

    def body(self, request_id: str) -> bytes:
        """Return the problem object as JSON."""
        content = {
            "type": f"urn:problem:{self.kind}",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "request_id": request_id,
            **self.members,
        }
        # The detail may repeat a client's input, which may hold its key, and proxies log answers.
        return masked(orjson.dumps(content))

    def headers(self) -> dict[str, str]:
        """Return the headers: 503 says when to retry, and 413, 408 and 431 close the connection."""
        headers = dict(self._headers)
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if self.status in ENDING:
            headers["Connection"] = "close"
        return headers


def unknown_environment(name: str, known: list[str]) -> Problem:
    """Return the problem of an unknown environment (400)."""
    detail = f"X-Environment {name[:REPEATED_CHARACTERS]!r} is not known; use one of: {', '.join(known)}"
    return Problem(HTTPStatus.BAD_REQUEST, "unknown-environment", detail, known_environments=known)


def unauthorized(reason: str, challenge: str = "Bearer") -> Problem:
    """Return the problem of a missing or unknown API key (401); `challenge` as in RFC 6750, section 3."""
    detail = f"{reason}; send `Authorization: Bearer KEY` or `X-API-Key: KEY`"
    return Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, {"WWW-Authenticate": challenge})


def forbidden_environment(key: str, environment: str, allowed: list[str]) -> Problem:
    """Return the problem of a key that may not use this environment (403)."""
    detail = f"key {key} may not ask {environment}; set X-Environment to one of: {', '.join(allowed)}"
    return Problem(HTTPStatus.FORBIDDEN, "forbidden-environment", detail, allowed_environments=allowed)


def rate_limited(key: str, mails_per_second: float, seconds: int) -> Problem:
    """Return the problem of a key over its rate (429); `seconds` until it may send again."""
    detail = f"key {key} may send {mails_per_second:g} mails a second; try again in {seconds} s"
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "rate-limited", detail, {"Retry-After": str(seconds)})


def malformed_canary_key() -> Problem:
    """Return the problem of a malformed `X-Canary-Key` (400)."""
    detail = "X-Canary-Key is not 1 to 128 printable ASCII characters without spaces"
    return Problem(HTTPStatus.BAD_REQUEST, "invalid-canary-key", detail)


def repeated_header(name: str) -> Problem:
    """Return the problem of a repeated header (400): which of its values counts would be a guess."""
    return Problem(HTTPStatus.BAD_REQUEST, "repeated-header", f"{name} is given more than once; give it once or not")


def encoded_body(encoding: str) -> Problem:
    """Return the problem of a compressed body, whose size is hidden (415)."""
    detail = f"Content-Encoding {encoding[:REPEATED_CHARACTERS]!r} is not taken; send the body as it is"
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "encoded-body", detail)


def too_large(what: str, limit: int) -> Problem:
    """Return the problem of a mail or body over its limit (413)."""
    detail = f"{what} is larger than {limit:,} bytes; send less in one request"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail, limit_bytes=limit)


def invalid_body(errors: list[dict[str, str]]) -> Problem:
    """Return the problem of a body that does not match the API (422)."""
    detail = "; ".join(f"{error['field']}: {error['reason']}" for error in errors[:3])
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-body", detail, errors=errors)


def too_slow(what: str, seconds: float) -> Problem:
    """Return the problem of a request that did not arrive in time (408)."""
    detail = f"{what} took longer than {seconds:g} s to arrive; send it in one go"
    return Problem(HTTPStatus.REQUEST_TIMEOUT, "request-timeout", detail)


def overloaded(environment: str) -> Problem:
    """Return the problem of an environment whose queue is full (503)."""
    detail = f"{environment} has no room for more mail now; try again in {RETRY_AFTER_SECONDS} s"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, OVERLOADED, detail)


def upstream_down(environment: str, reason: str) -> Problem:
    """Return the problem of a hop behind the gateway that is unreachable or not ready (503)."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "upstream-unavailable", f"{environment}: {reason}")


def upstream_slow(environment: str, seconds: float, reason: str) -> Problem:
    """Return the problem of a missed deadline (504); `reason` names the hop that did not answer."""
    detail = f"{environment}: {reason} within {seconds:.3g} s"
    return Problem(HTTPStatus.GATEWAY_TIMEOUT, "upstream-timeout", detail)


def upstream_failed(environment: str, reason: str) -> Problem:
    """Return the problem of a hop behind the gateway that answered with an error or nonsense (502)."""
    return Problem(HTTPStatus.BAD_GATEWAY, "upstream-error", f"{environment}: {reason}")
