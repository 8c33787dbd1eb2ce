"""Exchanges: one request and its answer, as an ASGI application sees them.

Source: ASGI specification, "HTTP & WebSocket ASGI Message Format", version 2.3.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import unquote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Scope

from httpserver.answer_head import STATUS_LINE, AnswerHead
from httpserver.flow import Flow
from httpserver.heads import Head

log = logging.getLogger("httpserver")

EXTENSION = "httpserver.exchange"
"""Name of the scope extension that holds the `Exchange`."""
UNREAD_BYTES = 64 * 1024
"""Bytes of a body that may wait for the application before the server stops reading from the client."""
Futures = Sequence[asyncio.Future[Any]]
_DISCONNECT: Message = {"type": "http.disconnect"}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Owner(Protocol):
    """The connection of an exchange."""

    transport: asyncio.Transport
    flow: Flow
    has_ended: bool
    """Whether the client has closed its side."""

    def own_lines(self) -> bytes:
        """Return the lines of the server's own headers."""

    def answered(self, keep_alive: bool) -> None:
        """Note that the last byte of the answer has been given to the transport."""

    def fail(self) -> None:
        """Answer 500 if nothing of the answer was sent; close."""


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "_awaited", "_body", "_doubt", "_expects_continue", "_head", "_is_whole", "_news", "_owner", "_request",
        "_start", "body_is_late", "disconnected", "done", "keep_alive", "scope", "sent",
    )  # fmt: skip

    def __init__(self, owner: Owner, request: Head, scope: Scope, keep_alive: bool) -> None:
        self._owner = owner
        self._request = request
        self.scope = scope
        scope["extensions"] = {EXTENSION: self}
        self.keep_alive = keep_alive
        self._expects_continue = request.expects_continue
        self._body: bytes | bytearray = b""
        self._is_whole = False
        self._news: asyncio.Event | bool = False
        """Whether there is something to receive; an event once the application waits for it."""
        self._start: Message | None = None
        self._head: AnswerHead | None = None
        self._awaited: Futures = ()
        self._doubt: Callable[[Futures], None] | None = None
        self.disconnected = False
        self.sent = False
        """Whether a byte of the answer has been given to the transport."""
        self.done = False
        """Whether all of it has."""
        self.body_is_late = False
        """Whether the body has taken too long, so that the application must refuse the request."""

    # The connection's side

    def add(self, body: bytes) -> int:
        """Take a piece of the body; return how many bytes wait for the application."""
        if self._body:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        else:
            self._body = body
        self._wake()
        return len(self._body)

    def complete(self) -> None:
        """Note the end of the body."""
        self._is_whole = True
        self._wake()

    def let_body_be_late(self) -> None:
        """Let the application refuse a body that takes too long."""
        self.body_is_late = True
        self._wake()

    def disconnect(self) -> None:
        """Note that the client has gone, or gets no answer; what the application awaits fails."""
        self.disconnected = True
        awaited, self._awaited, self._doubt = self._awaited, (), None
        for future in awaited:
            if not future.done():
                future.set_exception(ClientDisconnect())
        self._wake()

    def half_closed(self) -> None:
        """Note that the client has closed its side: it may have gone, or may wait for its answer."""
        if self._doubt:
            self._doubt(self._awaited)

    def _wake(self) -> None:
        if self._news is False or self._news is True:
            self._news = True
        else:
            self._news.set()

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:
            if not (self.disconnected and isinstance(error, ClientDisconnect)):
                log.error("the application failed", exc_info=error)
            self._owner.fail()
            if not isinstance(error, Exception):
                raise
        else:
            if not self.done and not self.disconnected:
                log.error("the application returned without a complete answer")
                self._owner.fail()
        finally:
            # The scope refers to this object, which refers to the scope.
            self.scope.get("extensions", {}).clear()
            self._awaited, self._doubt = (), None

    # The application's side

    def awaits(self, futures: Futures, doubt: Callable[[Futures], None] | None = None) -> None:
        """Note the futures that the request waits for; each fails with `ClientDisconnect` if the client disconnects.

        Args:
            futures: Futures that the request waits for.
            doubt: Called with them when the client closes its side: it may have gone, or may wait for its answer.
        """
        self._awaited, self._doubt = futures, doubt
        if self._owner.has_ended and doubt:
            doubt(futures)

    async def receive(self) -> Message:
        """Return the next message of the request: a piece of its body, or that the client has gone."""
        if self._expects_continue and not self.disconnected:
            self._expects_continue = False
            self._owner.transport.write(_CONTINUE)
        if not self.disconnected and not self.done:
            self._owner.flow.resume_reading()
            await self._have_news()
        if self.disconnected or self.done:
            return _DISCONNECT
        body, self._body = self._body, b""
        return {"type": "http.request", "body": bytes(body), "more_body": not self._is_whole}

    async def _have_news(self) -> None:
        if self._news is True:
            self._news = False
            return
        if self._news is False:
            self._news = asyncio.Event()
        await self._news.wait()
        self._news.clear()

    async def send(self, message: Message) -> None:
        """Send a part of the answer. Its head leaves with the first piece of its body."""
        if self._owner.flow.write_paused and not self.disconnected:
            await self._owner.flow.drain()
        if self.disconnected:
            return
        expected = "http.response.start" if self._start is None else "http.response.body"
        if message["type"] != expected or self.done:
            raise RuntimeError(f"the application sent {message['type']} where {expected} is due")
        if self._start is None:
            self._begin(message)
        else:
            self._write(message.get("body", b""), not message.get("more_body", False))

    def _begin(self, start: Message) -> None:
        self._head = AnswerHead(self._request, start["status"], start.get("headers", ()), self.keep_alive)
        self._start = start
        self._expects_continue = False

    def _write(self, body: bytes, is_last: bool) -> None:
        head, start = self._head, self._start
        assert head is not None and start is not None
        framed = head.framed(body, is_last)
        if not self.sent:
            self.sent = True
            if not self.keep_alive and head.keep_alive:
                # The connection's end was decided after the application began its answer.
                head.lines += b"connection: close\r\n"
            framed = b"%b%b%b\r\n%b" % (STATUS_LINE[start["status"]], self._owner.own_lines(), head.lines, framed)
        if framed:
            self._owner.transport.write(framed)
        if is_last:
            self._end(head.keep_alive and self.keep_alive)

    def _end(self, keep_alive: bool) -> None:
        self.done = True
        self._awaited, self._doubt = (), None
        self._wake()
        self._owner.answered(keep_alive)


def scope_of(
    head: Head, client: tuple[str, int] | None, server: tuple[str, int | None] | None, state: dict[str, Any]
) -> Scope:
    """Return the ASGI scope of a request."""
    raw_path, _, query = head.target.partition(b"?")
    path = raw_path.decode("ascii")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": head.version,
        "server": server,
        "client": client,
        "scheme": "http",
        "root_path": "",
        "method": head.method.decode("ascii"),
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": head.headers,
        "state": dict(state),
    }
