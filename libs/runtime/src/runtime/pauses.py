"""Pauses of this process: moments when it stood still, stopped or without a CPU.

A wait that spans a pause says nothing about the other side.
"""

import asyncio
import math
from collections.abc import Callable
from time import monotonic

TICK_SECONDS = 0.25
LATE_SECONDS = 0.5
"""Seconds of delay that make a tick a pause; a busy event loop is late by tenths of that."""


class Pauses:
    """Detector of pauses: it ticks while it watches, and a late tick means a pause.

    Args:
        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._ticked = 0.0
        self._paused = -math.inf
        self._next: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Start ticking, until `rest`; do nothing if ticking already."""
        if self._next is None:
            self._ticked = self._clock()
            self._next = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def rest(self) -> None:
        """Stop ticking."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def any_since(self, moment: float) -> bool:
        """Return whether a watched pause ended after this moment."""
        # Right after a pause, the caller may run before the delayed tick does.
        self._look()
        return self._paused >= moment

    def _look(self) -> None:
        now = self._clock()
        if self._next is not None and now - self._ticked > TICK_SECONDS + LATE_SECONDS:
            self._paused = self._ticked = now

    def _tick(self) -> None:
        self._look()
        self._ticked = self._clock()
        self._next = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)
