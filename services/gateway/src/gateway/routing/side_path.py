"""Side path: everything but mail, such as probes, metrics, pages and unknown paths.

None of it needs a key, so a flood costs its sender nothing. So these requests are answered cheaply, without the
framework: pages from the framework's first answer, unknown paths by a problem of a few microseconds. They are also
paced, so that the event loop's turns stay short for mail.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter

from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.request_record import record_of
from gateway.http.turns import Turns
from gateway.metrics import NO_HANDLER, RequestMetrics
from gateway.problems import Problem
from gateway.routing.early_refusals import GUARDED

UNCOUNTED = frozenset({"/health", "/ready", "/metrics"})
"""Paths left out of the metrics, where they would be most of the requests."""
LIGHT_BYTES = 64 * 1024
"""Bytes of an answer that weigh as much as the request itself."""
FRAMEWORK_WEIGHT = 8
"""Weight of a request that the framework answers.

Explain requests are most of these, and cost the hops behind as much again.
"""
LARGEST_BYTES = 4 * 1024 * 1024
"""Bytes of the largest page that is kept."""

LiveAnswer = Callable[[], Awaitable[Response]]
"""Answers a GET whose content changes from request to request."""


@dataclass(frozen=True, slots=True)
class Page:
    """A stored answer of the framework that never changes."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    etag: bytes | None

    async def send(self, scope: Scope, send: Send) -> int:
        """Answer a request; return the status."""
        named = dict(scope["headers"]).get(b"if-none-match", b"")
        fresh = self.etag is not None and self.etag in (name.strip().removeprefix(b"W/") for name in named.split(b","))
        status = HTTPStatus.NOT_MODIFIED if fresh else HTTPStatus.OK
        headers = (
            [(k, v) for k, v in self.headers if k not in (b"content-length", b"content-type")]
            if fresh
            else self.headers
        )
        await send({"type": "http.response.start", "status": status.value, "headers": list(headers)})
        # Sent in pieces: each waits until the client has read enough, so a client that reads nothing holds little
        # memory.
        rest = memoryview(b"" if fresh else self.body)
        while len(rest) > LIGHT_BYTES:
            await send({"type": "http.response.body", "body": rest[:LIGHT_BYTES], "more_body": True})
            rest = rest[LIGHT_BYTES:]
        await send({"type": "http.response.body", "body": bytes(rest)})
        return status.value


class SidePath:
    """ASGI middleware that passes mail on at once, paces all other requests, and stores answers that never change.

    Args:
        app: The framework behind it.
        routes: The framework's routes, none of which has parameters.
        answers: Answers for paths whose GET changes from request to request.
        turns: Turns that all work other than mail shares.
        metrics: Metrics of the requests that are answered here.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[BaseRoute],
        answers: Mapping[str, LiveAnswer],
        turns: Turns,
        metrics: RequestMetrics,
    ) -> None:
        self._app = app
        self._routes = routes
        self._answers = answers
        self._turns = turns
        self._metrics = metrics
        self._pages: dict[str, Page] = {}
        self._matched: dict[tuple[str, str], Match] = {}
        self._allowed: dict[tuple[str, str], str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or (scope["method"] == "POST" and scope["path"] in GUARDED):
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        match = self._match(scope)
        handler = NO_HANDLER if match is Match.NONE else scope["path"]
        page = self._pages.get(scope["path"]) if scope["method"] == "GET" else None
        # Turns are shared per address too: a flood from elsewhere must not delay the kubelet's probes.
        await self._turns.next(f"{handler} {_address(scope)}", self._weight(scope, page, match))
        if page is not None:
            status = await page.send(scope, send)
        else:
            status = await self._answer(scope, receive, send, match)
        if status and scope["path"] not in UNCOUNTED:
            seconds = self._metrics.seconds_of("", handler, scope["method"], str(status))
            seconds.observe(perf_counter() - started)

    def _weight(self, scope: Scope, page: Page | None, match: Match) -> int:
        if page is not None:
            return 1 + len(page.body) // LIGHT_BYTES
        named = scope["method"], scope["path"]
        is_light = match is Match.NONE or named in self._allowed or scope["path"] in self._answers
        return 1 if is_light else FRAMEWORK_WEIGHT

    async def _answer(self, scope: Scope, receive: Receive, send: Send, match: Match) -> int:
        """Answer a request without a stored page; return the status, or 0 if the framework has counted it."""
        named = scope["method"], scope["path"]
        response: Response
        if match is Match.NONE:
            response = _problem(scope, HTTPStatus.NOT_FOUND)
        elif named in self._allowed:
            response = _problem(scope, HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": self._allowed[named]})
        elif match is Match.FULL and scope["method"] == "GET" and scope["path"] in self._answers:
            response = await self._answers[scope["path"]]()
        elif match is Match.PARTIAL or scope["method"] == "GET":
            await self._noted(scope, receive, send, match)
            return 0
        else:
            await self._app(scope, receive, send)
            return 0
        await response(scope, receive, send)
        return response.status_code

    async def _noted(self, scope: Scope, receive: Receive, send: Send, match: Match) -> None:
        """Let the framework answer, and store the answer if it never changes."""
        start: Message = {}
        body = bytearray()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message, headers=list(message["headers"]))
            elif len(body) <= LARGEST_BYTES:
                body.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, noting)
        headers = dict(start.get("headers", ()))
        if match is Match.PARTIAL and start.get("status") == HTTPStatus.METHOD_NOT_ALLOWED:
            self._allowed[scope["method"], scope["path"]] = headers.get(b"allow", b"").decode("latin-1")
        whole = headers.get(b"content-length") == b"%d" % len(body) and len(body) <= LARGEST_BYTES
        if scope["method"] == "GET" and start.get("status") == HTTPStatus.OK and whole:
            self._pages[scope["path"]] = Page(start["headers"], bytes(body), headers.get(b"etag"))

    def _match(self, scope: Scope) -> Match:
        """Return whether the path exists and takes this method."""
        named = scope["method"], scope["path"]
        found = self._matched.get(named)
        if found is None:
            found = max((route.matches(scope)[0] for route in self._routes), key=lambda match: match.value)
            # Unknown paths are not stored: there is no end of them.
            if found is not Match.NONE:
                self._matched[named] = found
        return found


def _problem(scope: Scope, status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    return record_of(scope).response(Problem(status, "http", status.phrase, headers))


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
