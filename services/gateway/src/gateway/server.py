"""How clients' connections end: by an answer that says so, and never while a request may be on its way.

A client that keeps a connection stays with one replica, so replicas that autoscaling adds would get nothing to do; and
one that uses a connection at the very moment at which the server closes it loses its request. So an answer says
`Connection: close` (RFC 9112, section 9.6) when its connection is old, or the server is about to end.
"""

import asyncio
import random
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

JITTER = 0.5
"""The share of its age by which a connection may end earlier: those opened together do not end together."""
TICK_SECONDS = 0.1


class Connection(HttpToolsProtocol):
    """A client's connection; uvicorn's, with an end."""

    max_seconds: float
    """After this, and up to `JITTER` less, the next answer is the last."""
    draining = False
    """Whether the next answer of every connection is its last."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Draw how old this connection may become."""
        super().connection_made(transport)
        self._end = self.loop.time() + self.max_seconds * (1 - JITTER * random.random())

    def on_headers_complete(self) -> None:
        """Take a request, and decide whether it is the last."""
        super().on_headers_complete()
        if self.draining or self.loop.time() > self._end:
            self.cycle.keep_alive = False


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
