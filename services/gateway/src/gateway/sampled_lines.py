"""At most ten log lines a second of each kind, with a count of those that are left out."""

from collections.abc import Callable, Hashable
from time import perf_counter

LINE_SECONDS = 0.1
"""Seconds between two lines of a kind."""


class SampledLines:
    """Says which of many lines alike are written.

    Args:
        clock: Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._kinds: dict[Hashable, tuple[float, int]] = {}

    def left_out(self, kind: Hashable) -> int | None:
        """Return how many lines of a kind were left out since its last; None where this one is left out, too.

        Args:
            kind: One of few: each is remembered.
        """
        now = self._clock()
        next_line, left_out = self._kinds.get(kind, (now, 0))
        if now < next_line:
            self._kinds[kind] = next_line, left_out + 1
            return None
        self._kinds[kind] = now + LINE_SECONDS, 0
        return left_out
