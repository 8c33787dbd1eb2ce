"""Refuses mail for an environment whose queue is full, before anything of the request but its head is looked at.

Under a flood the refusals are most of the work: whatever each costs is taken from the mail that can be served. So the
answer is prepared once, nothing is read or parsed, and of a stream of refusals only some have a line in the log, which
says how many it stands for. Every one is counted in the metrics.

The body that comes with a refused request is read and dropped by the server, so that its connection stays usable;
where the body is not there yet and may be endless, or waits for the server's word, the connection ends instead.
"""

from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import problems
from gateway.access_log import QUIET
from gateway.api import BATCH_PREDICT_PATH, PREDICT_PATH
from gateway.coalescer import Coalescer
from gateway.metrics import seconds_of
from gateway.server import ANSWER_WHOLE
from gateway.settings import Settings

GUARDED = frozenset({PREDICT_PATH, BATCH_PREDICT_PATH})
LINE_SECONDS = 0.1
"""Between two lines in the log about refusals of one environment."""


class Refusals:
    """The refusals of one environment: their answer, prepared, and their count."""

    def __init__(self, environment: Coalescer) -> None:
        problem = problems.overloaded(environment.environment)
        headers = {"content-type": problems.MEDIA_TYPE} | problem.headers()
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._lines = b"".join(b"%b: %b\r\n" % header for header in self._headers)
        # The request id is the last member of the object, and the only one that differs.
        self._body = problem.body("").removesuffix(b'""}')
        self._environment = environment
        self._kind = problem.kind
        self._next_line = 0.0
        self._unlogged = 0

    async def answer(self, scope: Scope, send: Send, keep: bool) -> None:
        """Refuse one request; without `keep` its connection ends."""
        started = perf_counter()
        request_id: str = scope["state"]["request_id"]
        body = b"%b%b}" % (self._body, orjson.dumps(request_id))
        if not (keep and started < self._next_line and self._at_once(scope, request_id, body)):
            self._note(scope["state"], started)
            await self._in_order(send, body, keep)
        self._environment.count_refused()
        seconds_of(self._environment.environment, scope["path"], "POST", "503").observe(perf_counter() - started)

    def _at_once(self, scope: Scope, request_id: str, body: bytes) -> bool:
        """Hand the whole answer to the connection, past all that is between; no line is logged. False: it cannot."""
        answer_whole = scope.get("extensions", {}).get(ANSWER_WHOLE)
        head = b"%bcontent-length: %d\r\nx-request-id: %b\r\n" % (self._lines, len(body), request_id.encode())
        if answer_whole is None or not answer_whole(HTTPStatus.SERVICE_UNAVAILABLE, head, body):
            return False
        self._unlogged += 1
        scope["state"][QUIET] = True
        return True

    async def _in_order(self, send: Send, body: bytes, keep: bool) -> None:
        headers = [*self._headers, (b"content-length", b"%d" % len(body))]
        if not keep:
            headers.append((b"connection", b"close"))
        status = HTTPStatus.SERVICE_UNAVAILABLE.value
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _note(self, state: dict[str, object], now: float) -> None:
        """For the log: this request's line stands for those before it that have none."""
        self._next_line = now + LINE_SECONDS
        state["environment"] = self._environment.environment
        state["problem"] = self._kind
        if self._unlogged:
            state["refused_before"], self._unlogged = self._unlogged, 0


class Gate:
    """ASGI middleware: refuses what its environment has no room for, passes everything else on."""

    def __init__(self, app: ASGIApp, environments: Mapping[str, Coalescer], settings: Settings) -> None:
        self._app = app
        self._environments = environments
        self._default = settings.default_environment.encode()
        self._max_body_bytes = settings.max_body_bytes
        self._refusals: dict[str, Refusals] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] not in GUARDED or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        # Of headers that come twice the first counts, as everywhere.
        headers = dict(reversed(scope["headers"]))
        name = headers.get(b"x-environment", self._default).decode("latin-1")
        environment = self._environments.get(name)
        if environment is None or not environment.full:
            await self._app(scope, receive, send)
            return
        refusals = self._refusals.get(name) or self._refusals.setdefault(name, Refusals(environment))
        await refusals.answer(scope, send, self._is_bounded(headers))

    def _is_bounded(self, headers: dict[bytes, bytes]) -> bool:
        """Whether the body comes by itself and is worth reading for the sake of the connection."""
        length = headers.get(b"content-length", b"")
        return length.isdigit() and int(length) <= self._max_body_bytes and b"expect" not in headers
