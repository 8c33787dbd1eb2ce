"""Early refusals of mail for an environment whose queue is full, by the request's head alone.

In a flood, refusals are most of the work, and they take time from mail that can be served. So the answer is prepared
once, and the connection itself sends it at the end of the head. Only a sample of refusals passes through the
application, which logs and traces them; their log lines count the others. The metrics count every refusal.

The server reads and drops the body of a refused request, so the connection stays usable. If the body may be endless, or
the client waits for permission to send it, the connection ends instead.
"""

from collections.abc import Mapping
from time import perf_counter

import orjson
from prometheus_client import Histogram
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.access_log import REQUEST_ID, new_request_id
from gateway.http.request_record import RequestRecord, record_of
from gateway.metrics import RequestMetrics
from gateway.predictions.environment import Environment
from gateway.routing.api import BATCH_PREDICT_PATH, PREDICT_PATH
from gateway.settings import GatewaySettings
from httpserver import Head

GUARDED = frozenset({PREDICT_PATH, BATCH_PREDICT_PATH})
GUARDED_TARGETS = {path.encode(): path for path in GUARDED}
LINE_SECONDS = 0.1
"""Seconds between two log lines about refusals of one environment."""


class PreparedRefusal:
    """The prepared refusal of one environment, and how often it was given."""

    def __init__(self, environment: Environment, metrics: RequestMetrics) -> None:
        self._admission = environment.admission
        self._environment = environment.name
        self._metrics = metrics
        prepared = RequestRecord("").response(self._admission.overloaded())
        named = [header for header in prepared.raw_headers if header[0] != b"content-length"]
        self._lines = b"".join(b"%b: %b\r\n" % header for header in named)
        # The request id is the object's last member, and the only one that differs.
        self._body = bytes(prepared.body).removesuffix(b'""}')
        self._seconds: dict[str, Histogram] = {}
        self._next_line = 0.0
        self._line_is_due = False
        self._unlogged = 0

    def at_once(self, path: str, request_id: str) -> bytes | None:
        """Count a refusal and return its header lines and body; None if this one is to be logged."""
        started = perf_counter()
        if started >= self._next_line:
            # Set now rather than when the line is written: hundreds more may arrive in this turn of the event loop.
            self._next_line, self._line_is_due = started + LINE_SECONDS, True
            return None
        self._unlogged += 1
        body = b"%b%b}" % (self._body, orjson.dumps(request_id))
        head = b"%bcontent-length: %d\r\nx-request-id: %b\r\n\r\n" % (self._lines, len(body), request_id.encode())
        self._count(path, started)
        return head + body

    async def answer(self, scope: Scope, receive: Receive, send: Send, keep: bool) -> None:
        """Refuse one request; without `keep` its connection ends."""
        started, record = perf_counter(), record_of(scope)
        record.environment = self._environment
        response = record.response(self._admission.overloaded())
        if not keep:
            response.headers["connection"] = "close"
        if started < self._next_line and not self._line_is_due:
            self._unlogged += 1
            record.quiet = True
        else:
            self._note(record, started)
        await response(scope, receive, send)
        self._count(scope["path"], started)

    def _count(self, path: str, started: float) -> None:
        self._admission.count_refused()
        seconds = self._seconds.get(path)
        if seconds is None:
            seconds = self._seconds[path] = self._metrics.seconds_of(self._environment, path, "POST", "503")
        seconds.observe(perf_counter() - started)

    def _note(self, record: RequestRecord, now: float) -> None:
        """Note in this request's log line how many refusals before it have none."""
        self._next_line, self._line_is_due = now + LINE_SECONDS, False
        if self._unlogged:
            record.refused_before, self._unlogged = self._unlogged, 0


class EarlyRefusals:
    """ASGI middleware that refuses mail without room in its environment and passes everything else on."""

    def __init__(
        self, app: ASGIApp, environments: Mapping[str, Environment], settings: GatewaySettings, metrics: RequestMetrics
    ) -> None:
        self._app = app
        self._environments = environments
        self._metrics = metrics
        self._default = settings.default_environment.encode()
        self._max_body_bytes = settings.max_body_bytes
        self._prepared: dict[str, PreparedRefusal] = {}

    def at_once(self, head: Head) -> bytes | None:
        """Return the refusal of a request that needs neither the application nor a closed connection.

        Args:
            head: The head of the request.

        Returns:
            Header lines and body of a 503, without status line and date; None if the application has to answer.
        """
        path = GUARDED_TARGETS.get(head.target)
        if path is None or head.method != b"POST":
            return None
        found = head.fields
        environment = self._environment(found.get(b"x-environment", self._default))
        if environment is None:
            return None
        if environment.admission.has_room():
            environment.admission.expect()
            return None
        # The application reports what is wrong with a repeated header.
        if len(found) != len(head.headers) or not self._is_bounded(found):
            return None
        if b"x-request-id" not in found:
            return self._refusal_of(environment).at_once(path, new_request_id())
        request_id = found[b"x-request-id"].decode("latin-1")
        return self._refusal_of(environment).at_once(path, request_id) if REQUEST_ID.fullmatch(request_id) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] not in GUARDED or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        # The first of repeated headers counts, as everywhere.
        headers = dict(reversed(scope["headers"]))
        environment = self._environment(headers.get(b"x-environment", self._default))
        if environment is None or environment.admission.has_room():
            await self._app(scope, receive, send)
            return
        await self._refusal_of(environment).answer(scope, receive, send, self._is_bounded(headers))

    def _environment(self, name: bytes) -> Environment | None:
        return self._environments.get(name.decode("latin-1"))

    def _refusal_of(self, environment: Environment) -> PreparedRefusal:
        name = environment.name
        return self._prepared.get(name) or self._prepared.setdefault(name, PreparedRefusal(environment, self._metrics))

    def _is_bounded(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether the body comes without 100 Continue and is short enough to read for the connection's sake."""
        length = headers.get(b"content-length", b"")
        return length.isdigit() and int(length) <= self._max_body_bytes and b"expect" not in headers
