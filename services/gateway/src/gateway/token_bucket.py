"""How fast one caller may send: a token bucket."""

import time
from collections.abc import Callable

ROUNDING = 1e-9
"""Of a mail: who comes back exactly when told to is not refused for the sake of a float's last digits."""


class TokenBucket:
    """Fills at a steady rate up to a burst; a request that needs more than there is leaves it in debt.

    So a large request is never impossible, it is paid for by waiting longer before the next.

    Args:
        rate: Mails a second, over 0.
        burst: Mails that may come at once after a pause, at least 1.
        clock: Seconds that never go back.
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
            more: They belong to a request that has taken its first mail; it may find the bucket empty, and not in debt.

        Returns:
            0 when they are taken; else the seconds until there is a mail to take again, and nothing is taken.
        """
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < (0 if more else 1) - ROUNDING:
            return (1 - self._tokens) / self._rate
        self._tokens -= mails
        return 0.0
