"""Refusals that the server itself sends, and what the application says in them."""

from http import HTTPStatus
from typing import NamedTuple, Protocol

from httpserver.heads import Head, RequestRefused


class RefusalAnswer(NamedTuple):
    """An answer to a refused request, without status and `Connection`."""

    headers: list[tuple[bytes, bytes]]
    body: bytes


class Hooks(Protocol):
    """Hooks by which a server asks its application, beside ASGI."""

    def at_once(self, head: Head) -> bytes | None:
        """Return header lines and body of a 503 that refuses a request unread; None: the application answers.

        The lines end with an empty one, and the server adds the status line and its own headers before them.
        """

    def refusal(self, refused: RequestRefused) -> RefusalAnswer:
        """Return the answer to a request that the server refuses."""

    def ended(self, reason: str) -> None:
        """Note that the server ended a connection because of its client; `reason` is one of `REASONS`."""


REASONS = ("head", "body", "idle", "write", "room")
"""Reasons to end a connection: what was too slow, or too much."""


def incomplete_request() -> RequestRefused:
    """Return the refusal of a client that closed its side within a request (400)."""
    detail = "the request ended before it was complete; send as many bytes as Content-Length says, or the last chunk"
    return RequestRefused(HTTPStatus.BAD_REQUEST, "incomplete-request", detail)


def too_much_waiting(limit: int) -> RequestRefused:
    """Return the refusal of too many bytes in heads and queued requests, over all connections (503)."""
    return _no_room("too-much-waiting", f"{limit:,} bytes of requests wait already, over all connections")


def too_many_connections(limit: int) -> RequestRefused:
    """Return the refusal of a connection where all others have a request under way (503)."""
    return _no_room("too-many-connections", f"{limit:,} connections are open and busy")


def too_many_bodies(limit: int) -> RequestRefused:
    """Return the refusal of a body for which those of other requests leave no room (503)."""
    return _no_room("too-many-bodies", f"{limit:,} bytes of requests are under way already")


def too_slow(what: str, seconds: float) -> RequestRefused:
    """Return the refusal of a request that did not arrive in time (408)."""
    detail = f"{what} took longer than {seconds:g} s to arrive; send it in one go"
    return RequestRefused(HTTPStatus.REQUEST_TIMEOUT, "request-timeout", detail)


def too_large_body(limit: int) -> RequestRefused:
    """Return the refusal of a body over its limit (413)."""
    detail = f"the body is larger than {limit:,} bytes; send less in one request"
    return RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail, limit_bytes=limit)


def failed() -> RequestRefused:
    """Return the answer to a request at which the application failed (500)."""
    detail = "the server failed; its log has the reason"
    return RequestRefused(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)


RETRY_SECONDS = 1
"""Seconds after which a client that found no room may try again."""


def _no_room(kind: str, reason: str) -> RequestRefused:
    detail = f"{reason}; try again in {RETRY_SECONDS} s"
    return RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, kind, detail)
