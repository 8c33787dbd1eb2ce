"""Sampler: decides which requests are traced."""

import random
from collections.abc import Callable
from math import inf
from time import monotonic

RUN = 16
"""Requests sampled in a row.

Requests share batches, and a batch with one sampled request is recorded on its whole way. If one request in a hundred
were sampled individually, a quarter of all batches of thirty would contain one. Sixteen in a row fall into one or two
batches.
"""


class Runs:
    """Samples `RUN` requests in a row after random gaps, so that the share is right on average."""

    def __init__(self, ratio: float) -> None:
        self._mean_gap = RUN * (1 - ratio) / ratio if ratio else inf
        self._run = 0
        self._gap = self._draw()

    def __call__(self) -> bool:
        """Return whether the next request is sampled; for most requests this costs one comparison and one count."""
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
        # Random, not fixed: clients with a rhythm of their own must not always hit the run, or always miss it.
        return random.randint(0, round(2 * self._mean_gap))


class Allowance:
    """Token bucket: a limit a second, with bursts of one run.

    Args:
        per_second: Tokens a second; 0 for none ever.
        clock: Returns seconds that never go back.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._most = max(RUN, per_second) if per_second else 0.0
        self._left = float(self._most)
        self._clock = clock
        self._seen = clock()

    def __call__(self) -> bool:
        """Take a token if there is one; return whether there was."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
