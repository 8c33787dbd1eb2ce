"""Request ids and one JSON line a request, around the whole application."""

import logging
import re
import sys
from asyncio import get_running_loop
from datetime import UTC, datetime
from http import HTTPStatus
from os import urandom
from time import perf_counter

import orjson
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import traces
from gateway.problems import Problem
from tracing import Tracer

log = logging.getLogger("gateway")

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
QUIET_PATHS = frozenset({"/health", "/ready", "/metrics"})
FLUSH_SECONDS = 0.1


class LineBuffer:
    """Lines for stdout, written together: a system call for each would cost as much as the rest of the line."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def add(self, line: bytes) -> None:
        """Take a line; it is written within `FLUSH_SECONDS`."""
        if not self._lines:
            get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write what waits."""
        if self._lines:
            sys.stdout.write(b"\n".join([*self._lines, b""]).decode())
            sys.stdout.flush()
            self._lines.clear()


class AccessLog:
    """ASGI middleware: takes or makes the request id, returns it, logs the request, and traces it if it is sampled."""

    def __init__(self, app: ASGIApp, lines: LineBuffer, tracer: Tracer | None = None) -> None:
        self._app = app
        self._lines = lines
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
        request_id = urandom(16).hex() if given is None else given.decode("latin-1")
        valid = given is None or REQUEST_ID.fullmatch(request_id) is not None
        state = scope.setdefault("state", {})
        state["request_id"] = request_id if valid else urandom(16).hex()
        span = traces.begin(self._tracer, scope) if self._tracer is not None and not _is_quiet(scope) else None
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", state["request_id"].encode()))
            await send(message)

        try:
            app = self._app if valid else _bad_request_id().response(Request(scope))
            await app(scope, receive, send_with_id)
        except Exception:
            log.exception("request failed", extra=state)
            if not status:
                await _bug().response(Request(scope))(scope, receive, send_with_id)
        if span is not None:
            traces.end(span, scope, status)
        self._log(scope, status, perf_counter() - started)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        if _is_quiet(scope):
            return
        line = {
            "time": datetime.now(UTC),
            "level": "INFO" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "WARNING",
            "logger": "gateway.access",
            "message": "request",
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            **scope["state"],
        }
        self._lines.add(orjson.dumps(line, default=str))


def _is_quiet(scope: Scope) -> bool:
    return scope["path"] in QUIET_PATHS


def _bug() -> Problem:
    detail = "the gateway failed; its log has the reason under this request id"
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)


def _bad_request_id() -> Problem:
    detail = "X-Request-ID is not 1 to 128 printable ASCII characters without spaces"
    return Problem(HTTPStatus.BAD_REQUEST, "invalid-request-id", detail)
