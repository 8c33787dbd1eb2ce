"""Token bucket: limits how fast one caller may send."""

import time
from collections.abc import Callable

ROUNDING = 1e-9
"""Tolerance in mails that keeps rounding from refusing a client that retries on time."""


class TokenBucket:
    """A bucket that fills at a steady rate up to a burst. A request that needs more than there is leaves it in debt.

    So a large request is never impossible; it makes its sender wait longer before the next one.

    Args:
        rate: Mails a second, more than 0.
        burst: Mails that may come at once after a pause, at least 1.
        clock: Returns seconds that never go back.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled = clock()

    def take(self, mails: int = 1, *, more: bool = False) -> float:
        """Take mails out.

        Args:
            more: The mails belong to a request that has taken its first mail. The bucket may be empty, but not in debt.

        Returns:
            0 if the mails are taken. Else nothing is taken, and this is the seconds until there is a mail again.
        """
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < (0 if more else 1) - ROUNDING:
            return (1 - self._tokens) / self._rate
        self._tokens -= mails
        return 0.0
