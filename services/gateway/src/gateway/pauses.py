"""Pauses of this process: moments in which it stood still, stopped or without a CPU.

What took long across a pause says nothing about whoever it was waited for.
"""

import asyncio
import math
from collections.abc import Callable
from time import monotonic

TICK_SECONDS = 0.25
LATE_SECONDS = 0.5
"""Lateness of a tick that is a pause; a busy event loop is late by tenths of that."""


class Pauses:
    """Ticks while it watches; a tick that is late was a pause.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._ticked = 0.0
        self._paused = -math.inf
        self._next: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Tick until `rest`; watching already, go on."""
        if self._next is None:
            self._ticked = self._clock()
            self._next = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def rest(self) -> None:
        """Tick no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def any_since(self, moment: float) -> bool:
        """Return whether a pause ended after this moment; one that was watched."""
        # After a pause, whoever asks may have its turn before the tick.
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
