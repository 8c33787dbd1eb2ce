"""The sweep: one look a second at all connections, which ends those whose clients are too slow.

It costs less than a timer for each request.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Protocol

log = logging.getLogger("httpserver")

SWEEP_SECONDS = 1.0
SWEPT_IN_A_TURN = 128
"""Connections swept in one turn of the event loop; a flood has more than a turn should take."""
LATE_SECONDS = 1.0
"""Lateness of a sweep that shows that this process stood still."""


class Swept(Protocol):
    """A connection as the sweep sees it."""

    def sweep(self, now: float) -> None:
        """End the connection if its client is too slow; `now` is the event loop's time in seconds."""


class Sweep:
    """Repeated looks at a server's connections, for as long as there are any.

    Args:
        connections: The open connections, a live collection.
        loop: The event loop.
    """

    def __init__(self, connections: Collection[Swept], loop: asyncio.AbstractEventLoop) -> None:
        self._connections = connections
        self._loop = loop
        self._left: list[Swept] = []
        self._is_planned = self._has_waited = False

    def plan(self) -> None:
        """Plan the next look, unless one is planned."""
        if not self._is_planned:
            self._is_planned = True
            self._due = self._loop.time() + SWEEP_SECONDS
            self._loop.call_later(SWEEP_SECONDS, self._begin)

    def _begin(self) -> None:
        is_late = self._loop.time() - self._due > LATE_SECONDS
        # A process that stood still has not read what clients sent meanwhile, so they are not slow. It waits once.
        self._has_waited = is_late and not self._has_waited
        self._left = [] if self._has_waited else list(self._connections)
        self._go_on()

    def _go_on(self) -> None:
        now = self._loop.time()
        for connection in self._left[:SWEPT_IN_A_TURN]:
            _look_at(connection, now)
        del self._left[:SWEPT_IN_A_TURN]
        if self._left:
            self._loop.call_soon(self._go_on)
            return
        self._is_planned = False
        if self._connections:
            self.plan()


def _look_at(connection: Swept, now: float) -> None:
    try:
        connection.sweep(now)
    except Exception:
        # An error in one connection must not end the sweep of all others.
        log.exception("connection not looked at")
