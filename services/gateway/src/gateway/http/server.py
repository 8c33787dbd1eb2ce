"""uvicorn's server, extended to accept many connections at once, sweep slow ones and drain before it ends."""

import asyncio
import contextlib
import logging
import socket
from functools import partial
from typing import Any

import uvicorn

from gateway.metrics import ConnectionMetrics
from runtime.pauses import LATE_SECONDS

log = logging.getLogger("gateway")

TICK_SECONDS = 0.1
SWEEP_SECONDS = 1.0
SWEPT_IN_A_TURN = 128
"""Connections swept in one turn of the event loop; a flood has more than a turn should take."""
ACCEPTED_AT_ONCE = 16
"""New connections accepted in one turn of the event loop.

Since 1.45, libuv accepts one a turn for each listening socket that it knows. In a flood a turn takes ten milliseconds,
so a new client would wait seconds behind the flood's connections.
"""


class Server(uvicorn.Server):
    """uvicorn's server. After SIGTERM it serves for a while and closes connections, so clients move elsewhere."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float, metrics: ConnectionMetrics | None = None) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        (metrics or ConnectionMetrics()).open.set_function(lambda: len(self.server_state.connections))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then start sweeping connections."""
        await super().startup(sockets)
        await self._listen_again()
        self._sweeping = asyncio.create_task(self._sweep(), name="sweep")

    async def _listen_again(self) -> None:
        """Register each listening socket several times, so that the event loop accepts as many connections a turn."""
        config, loop = self.config, asyncio.get_running_loop()
        protocol: Any = config.http_protocol_class
        made = partial(protocol, config=config, server_state=self.server_state, app_state=self.lifespan.state)
        for listening in [each for server in self.servers for each in server.sockets]:
            for _ in range(ACCEPTED_AT_ONCE - 1):
                self.servers.append(await loop.create_server(made, sock=listening.dup(), backlog=config.backlog))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end as uvicorn does; a second signal ends draining."""
        protocol: Any = self.config.http_protocol_class
        protocol.draining = True
        for _ in range(round(self._drain_seconds / TICK_SECONDS)):
            if self.force_exit:
                break
            await asyncio.sleep(TICK_SECONDS)
        await super().shutdown(sockets)
        self._sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeping

    async def _sweep(self) -> None:
        loop, waits_once = asyncio.get_running_loop(), True
        while True:
            due = loop.time() + SWEEP_SECONDS
            await asyncio.sleep(SWEEP_SECONDS)
            if waits_once and loop.time() - due > LATE_SECONDS:
                # This process stood still: what clients sent meanwhile is still unread, and they are not slow.
                waits_once = False
                continue
            waits_once = True
            for n, connection in enumerate(list(self.server_state.connections), 1):
                self._look_at(connection, loop.time())
                if n % SWEPT_IN_A_TURN == 0:
                    await asyncio.sleep(0)

    def _look_at(self, connection: Any, now: float) -> None:
        try:
            connection.sweep(now)
        except Exception:
            # An error in one connection must not end the sweep of all others.
            log.exception("connection not looked at")
