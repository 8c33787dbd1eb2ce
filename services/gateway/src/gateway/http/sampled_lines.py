"""Log sampling: at most ten lines a second of each kind, and a count of those left out."""

from collections.abc import Callable, Hashable
from time import perf_counter

LINE_SECONDS = 0.1
"""Seconds between two logged lines of one kind."""


class SampledLines:
    """Decides which of many similar lines are written.

    Args:
        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._kinds: dict[Hashable, tuple[float, int]] = {}

    def left_out(self, kind: Hashable) -> int | None:
        """Return how many lines of a kind were left out since its last one, or None to leave this one out too.

        Args:
            kind: One of a few kinds; each is remembered for good.
        """
        now = self._clock()
        next_line, left_out = self._kinds.get(kind, (now, 0))
        if now < next_line:
            self._kinds[kind] = next_line, left_out + 1
            return None
        self._kinds[kind] = now + LINE_SECONDS, 0
        return left_out
