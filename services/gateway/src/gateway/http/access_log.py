"""Request ids, and one JSON log line a request, around the whole application."""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from random import getrandbits
from time import perf_counter
from urllib.parse import quote, unquote_to_bytes

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http import request_spans
from gateway.http.request_record import RequestRecord, record_of
from gateway.http.sampled_lines import SampledLines
from gateway.http.turns import Turns
from gateway.metrics import NO_HANDLER, RequestMetrics
from gateway.problems import OVERLOADED, Problem, repeated_header
from httpserver import repeated
from runtime import Lines, masked
from runtime.tracing import Tracer

log = logging.getLogger("gateway")

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
LOGGED_CHARACTERS = 200
"""Characters of a path that a log line shows."""
QUIET_PATHS = frozenset({"/health", "/ready", "/metrics"})


def new_request_id() -> str:
    """Return a new id for a request that brings none. Ids are unique but not secret, so this makes no system call."""
    return f"{getrandbits(128):032x}"


class AccessLog:
    """ASGI middleware that sets and returns the request id, logs the request, and traces it if it is sampled."""

    def __init__(
        self, app: ASGIApp, lines: Lines, turns: Turns, metrics: RequestMetrics, tracer: Tracer | None = None
    ) -> None:
        self._app = app
        self._lines = lines
        self._turns = turns
        self._metrics = metrics
        self._sampled = SampledLines()
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        found = dict(scope["headers"])
        refusal = _refusal(scope, found)
        record = RequestRecord(_given_id(scope, found) or new_request_id())
        record.begin(scope)
        if self._tracer is not None and not _is_quiet(scope):
            request_spans.begin(self._tracer, scope, record)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", record.request_id.encode()))
            await send(message)

        try:
            if refusal:
                await self._refuse(refusal, scope, receive, send_with_id)
            else:
                await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request failed", extra=record.logged())
            if not status:
                await record.response(_bug())(scope, receive, send_with_id)
        if record.span is not None:
            request_spans.end(record.span, scope, record, status)
        if not record.quiet:
            self._log(scope, record, status, perf_counter() - started)

    async def _refuse(self, refusal: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        await self._turns.refused(refusal)
        await record_of(scope).response(refusal)(scope, receive, send)
        seconds = self._metrics.seconds_of("", NO_HANDLER, scope["method"], str(refusal.status.value))
        seconds.observe(perf_counter() - started)

    def _is_left_out(self, scope: Scope, record: RequestRecord, status: int) -> bool:
        """Return whether to skip this line.

        Refusals and pages are sampled; a logged line counts those skipped before it.
        """
        is_page = status < HTTPStatus.BAD_REQUEST and scope["method"] == "GET"
        is_refusal = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        if not (is_page or is_refusal or record.problem == OVERLOADED) or record.refused_before is not None:
            return False
        kind = scope["path"] if is_page else (record.problem, record.environment, record.key)
        left_out = self._sampled.left_out((status, kind))
        if left_out and is_page:
            record.answered_before = left_out
        elif left_out:
            record.refused_before = left_out
        return left_out is None

    def _log(self, scope: Scope, record: RequestRecord, status: int, seconds: float) -> None:
        if _is_quiet(scope) or self._is_left_out(scope, record, status):
            return
        line = {
            "time": datetime.now(UTC),
            "level": "INFO" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "WARNING",
            "logger": "gateway.access",
            "message": "request",
            "method": scope["method"],
            # Logged percent-encoded, as sent, so that no path can break a line or colour a terminal.
            "path": _path(scope["raw_path"])[:LOGGED_CHARACTERS].decode("ascii", "backslashreplace"),
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            **record.logged(),
        }
        self._lines.add(orjson.dumps(line, default=str))


def _path(raw: bytes) -> bytes:
    """Return the path of a request with API keys masked, percent-encoded ones included."""
    if b"%" in raw and (plain := unquote_to_bytes(raw)) != masked(plain):
        return quote(masked(plain)).encode()
    return masked(raw)


def _is_quiet(scope: Scope) -> bool:
    return scope["path"] in QUIET_PATHS


def _bug() -> Problem:
    detail = "the gateway failed; its log has the reason under this request id"
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)


def _refusal(scope: Scope, headers: Mapping[bytes, bytes]) -> Problem | None:
    """Return the problem with a request's headers, if any, whatever its path."""
    if len(headers) != len(scope["headers"]) and (twice := repeated(scope["headers"])):
        return repeated_header(twice)
    given = headers.get(b"x-request-id")
    if given is None:
        return None
    if masked(given) != given:
        # The key would be logged here and at every hop, and stay in the inference log.
        return _bad_request_id("X-Request-ID holds an API key; send another id")
    return None if REQUEST_ID.fullmatch(given.decode("latin-1")) else _bad_request_id(_NO_REQUEST_ID)


def _given_id(scope: Scope, headers: Mapping[bytes, bytes]) -> str:
    """Return the valid id that a request brings, or an empty string."""
    given = headers.get(b"x-request-id", b"")
    if len(headers) != len(scope["headers"]) and sum(name == b"x-request-id" for name, _ in scope["headers"]) > 1:
        return ""
    text = given.decode("latin-1")
    return text if REQUEST_ID.fullmatch(text) and masked(given) == given else ""


_NO_REQUEST_ID = "X-Request-ID is not 1 to 128 printable ASCII characters without spaces"


def _bad_request_id(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "invalid-request-id", detail)
