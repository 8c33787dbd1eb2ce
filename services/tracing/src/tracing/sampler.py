"""Which requests are sampled."""

import random
from collections.abc import Callable
from math import inf
from time import monotonic

RUN = 16
"""Requests sampled in a row.

Requests share batches, and a batch with one sampled request is recorded on its whole way. Of batches of thirty, one
request in a hundred sampled each by itself would be in a quarter; sixteen in a row are in one or two.
"""


class Runs:
    """Samples `RUN` requests in a row after gaps drawn at random, so that the share comes out right."""

    def __init__(self, ratio: float) -> None:
        self._mean_gap = RUN * (1 - ratio) / ratio if ratio else inf
        self._run = 0
        self._gap = self._draw()

    def __call__(self) -> bool:
        """Whether the next request is sampled; the path of those that are not is one comparison and one count."""
        if self._gap > 0:
            self._gap -= 1
            return False
        self._run += 1
        if self._run == RUN:
            self._run, self._gap = 0, self._draw()
        return True

    def _draw(self) -> float:
        if not 0 < self._mean_gap < inf:
            return self._mean_gap
        # Uniform, not fixed: clients that come in a rhythm of their own must not always be in the run, or never.
        return random.randint(0, round(2 * self._mean_gap))


class Allowance:
    """A token bucket: so many a second, and as many as a run at once.

    Args:
        per_second: 0 for none ever.
        clock: Seconds.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._most = max(RUN, per_second) if per_second else 0.0
        self._left = float(self._most)
        self._clock = clock
        self._seen = clock()

    def __call__(self) -> bool:
        """Whether there is room for one more, which takes it."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
