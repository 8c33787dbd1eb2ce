"""uvicorn's server, extended to accept many connections at once, and to drain before it ends."""

import asyncio
import socket

import uvicorn

from httpserver import uvicorn_names
from httpserver.connection import Connections

TICK_SECONDS = 0.1
ACCEPTED_AT_ONCE = 16
"""New connections accepted in one turn of the event loop.

Since 1.45, libuv accepts one a turn for each listening socket that it knows. In a flood a turn takes ten milliseconds,
so a new client would wait seconds behind the flood's connections.
"""


class Server(uvicorn.Server):
    """uvicorn's server. After SIGTERM it serves for a while and closes connections, so clients move elsewhere.

    Args:
        config: Its option `http` must be `connections`.
        connections: Makes the server's connections.
        drain_seconds: Seconds from SIGTERM to the end of the listening sockets.
    """

    def __init__(self, config: uvicorn.Config, connections: Connections, drain_seconds: float) -> None:
        super().__init__(config)
        self._connections = connections
        self._drain_seconds = drain_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then listen again."""
        await super().startup(sockets)
        await self._listen_again()

    async def _listen_again(self) -> None:
        """Register each listening socket several times, so that the event loop accepts as many connections a turn."""
        loop, servers = asyncio.get_running_loop(), uvicorn_names.listening(self)
        made = uvicorn_names.protocol_factory(self, self._connections)
        for listening in [each for server in servers for each in server.sockets]:
            for _ in range(ACCEPTED_AT_ONCE - 1):
                servers.append(await loop.create_server(made, sock=listening.dup(), backlog=self.config.backlog))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end as uvicorn does; a second signal ends draining."""
        self._connections.drain()
        for _ in range(round(self._drain_seconds / TICK_SECONDS)):
            if self.force_exit:
                break
            await asyncio.sleep(TICK_SECONDS)
        await super().shutdown(sockets)
