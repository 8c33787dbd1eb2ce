"""How clients' connections end: by an answer that says so, and never while a request may be on its way.

A client that keeps a connection stays with one replica, so replicas that autoscaling adds would get nothing to do; and
one that uses a connection at the very moment at which the server closes it loses its request. So an answer says
`Connection: close` (RFC 9112, section 9.6) when its connection is old, or the server is about to end.
"""

import asyncio
import random
import socket
from os import urandom
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import problems

JITTER = 0.5
"""The share of its age by which a connection may end earlier: those opened together do not end together."""
TICK_SECONDS = 0.1

HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, or of trailers: the parser has no limit of its own and would hold them all."""


class Connection(HttpToolsProtocol):
    """A client's connection; uvicorn's, with an end."""

    max_seconds: float
    """After this, and up to `JITTER` less, the next answer is the last."""
    draining = False
    """Whether the next answer of every connection is its last."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Draw how old this connection may become."""
        super().connection_made(transport)
        self._unread = 0
        self._refusal: problems.Problem | None = None
        self._end = self.loop.time() + self.max_seconds * (1 - JITTER * random.random())

    def data_received(self, data: bytes) -> None:
        """Take bytes; refuse a head or trailers without end (431)."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(problems.large_head(HEAD_BYTES))

    def on_headers_complete(self) -> None:
        """Take a request, and decide whether it is the last; a head over its limit is refused."""
        if self._unread > HEAD_BYTES and self._head_bytes() > HEAD_BYTES:
            self._refusal = problems.large_head(HEAD_BYTES)
            raise ValueError(self._refusal.detail)
        self._unread = 0
        super().on_headers_complete()
        # The parser adds trailers to the headers of a request, which no proxy before us has seen as such.
        self.headers = []
        if self.draining or self.loop.time() > self._end:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take a request's end."""
        self._unread = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request as every other error is answered."""
        self._refuse(self._refusal or problems.malformed_request())

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse(self, problem: problems.Problem) -> None:
        """Answer and close; only close when an answer is under way or others come first, or they would mix."""
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not begun and not self.pipeline:
            self.transport.write(_answer(problem))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def _answer(problem: problems.Problem) -> bytes:
    request_id = urandom(16).hex()
    body = problem.body(request_id)
    head = (
        f"HTTP/1.1 {problem.status.value} {problem.status.phrase}",
        f"content-type: {problems.MEDIA_TYPE}",
        f"content-length: {len(body)}",
        f"x-request-id: {request_id}",
        "connection: close",
    )
    return "\r\n".join([*head, "", ""]).encode() + body


def connections(max_seconds: float) -> type[Connection]:
    """The connections of one server: a class of their own, which says whether it drains."""
    return type("ServerConnection", (Connection,), {"max_seconds": max_seconds})


class Server(uvicorn.Server):
    """uvicorn's server, which after SIGTERM goes on for a while, and sends its clients elsewhere."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end as uvicorn does; a second signal ends the draining."""
        protocol: Any = self.config.http_protocol_class
        protocol.draining = True
        for _ in range(round(self._drain_seconds / TICK_SECONDS)):
            if self.force_exit:
                break
            await asyncio.sleep(TICK_SECONDS)
        await super().shutdown(sockets)
