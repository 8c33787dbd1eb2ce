"""Everything that is no mail: probes, metrics, pages, and paths or methods that there are not.

None of it needs a key, so a flood of it is free to whoever sends it. It is answered for little, without the framework:
pages from what the framework answered the first time, and what there is not by a problem of a few microseconds. And
it is paced, so that the turns of the event loop stay short for mail.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.gate import GUARDED
from gateway.metrics import NO_HANDLER, seconds_of
from gateway.problems import Problem
from gateway.turns import Turns

UNCOUNTED = frozenset({"/health", "/ready", "/metrics"})
"""Paths that are in no metric: they would be most of what it counts."""
LIGHT_BYTES = 64 * 1024
"""Bytes of an answer that weigh as much as the request itself."""
FRAMEWORK_WEIGHT = 8
"""Weight of a request that the framework answers, explain above all, which costs the hops behind as much again."""
LARGEST_BYTES = 4 * 1024 * 1024
"""Bytes of the largest page that is kept."""

Answer = Callable[[], Awaitable[Response]]
"""The answer to a GET that changes from one to the next."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of the framework that is the same each time."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    etag: bytes | None

    async def send(self, scope: Scope, send: Send) -> int:
        """Answer a request; returns the status."""
        named = dict(scope["headers"]).get(b"if-none-match", b"")
        fresh = self.etag is not None and self.etag in (name.strip().removeprefix(b"W/") for name in named.split(b","))
        status = HTTPStatus.NOT_MODIFIED if fresh else HTTPStatus.OK
        headers = (
            [(k, v) for k, v in self.headers if k not in (b"content-length", b"content-type")]
            if fresh
            else self.headers
        )
        await send({"type": "http.response.start", "status": status.value, "headers": list(headers)})
        # In pieces: each waits until the client has read enough, so that one which reads nothing holds little memory.
        rest = memoryview(b"" if fresh else self.body)
        while len(rest) > LIGHT_BYTES:
            await send({"type": "http.response.body", "body": rest[:LIGHT_BYTES], "more_body": True})
            rest = rest[LIGHT_BYTES:]
        await send({"type": "http.response.body", "body": bytes(rest)})
        return status.value


class SidePath:
    """ASGI middleware: mail is passed on at once, all else in its turn, and only once of what is the same each time.

    Args:
        app: The framework behind it.
        routes: The framework's, all of which are without parameters.
        answers: Of paths whose GET changes from one to the next.
        turns: Those of all work that is no mail.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], answers: Mapping[str, Answer], turns: Turns) -> None:
        self._app = app
        self._routes = routes
        self._answers = answers
        self._turns = turns
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
        # By address too: a flood from elsewhere must not keep a probe of the kubelet waiting.
        await self._turns.next(f"{handler} {_address(scope)}", self._weight(scope, page, match))
        if page is not None:
            status = await page.send(scope, send)
        else:
            status = await self._answer(scope, receive, send, match)
        if status and scope["path"] not in UNCOUNTED:
            seconds_of("", handler, scope["method"], str(status)).observe(perf_counter() - started)

    def _weight(self, scope: Scope, page: Page | None, match: Match) -> int:
        if page is not None:
            return 1 + len(page.body) // LIGHT_BYTES
        named = scope["method"], scope["path"]
        is_light = match is Match.NONE or named in self._allowed or scope["path"] in self._answers
        return 1 if is_light else FRAMEWORK_WEIGHT

    async def _answer(self, scope: Scope, receive: Receive, send: Send, match: Match) -> int:
        """Answer what is no page yet; returns the status, or 0 where the framework has counted it."""
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
        """Have the framework answer, and note what it answers each time."""
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
        """Whether there is such a path, and such a method of it."""
        named = scope["method"], scope["path"]
        found = self._matched.get(named)
        if found is None:
            found = max((route.matches(scope)[0] for route in self._routes), key=lambda match: match.value)
            # Of paths that there are not, there is no end.
            if found is not Match.NONE:
                self._matched[named] = found
        return found


def _problem(scope: Scope, status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    return Problem(status, "http", status.phrase, headers).response(Request(scope))


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
