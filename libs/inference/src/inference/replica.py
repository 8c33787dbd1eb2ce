"""Replica: one address of a service, its requests under way, and whether it hangs."""

import asyncio
import math
import random
from collections.abc import Callable
from time import monotonic
from types import TracebackType

from inference import policy
from inference.errors import BrokenAnswer, ErrorAnswer, Slow, TooShort


class Replica:
    """One replica and its requests under way; each request enters it as a context manager."""

    __slots__ = (
        "_answered_at",
        "_avoid_until",
        "_ended",
        "_failures",
        "_limit",
        "_probe_at",
        "_under_way",
        "hangs",
        "headers",
        "url",
    )

    def __init__(self, url: str, host: str, ended: Callable[[], None] = lambda: None) -> None:
        self.url = url
        """Base URL without a trailing slash."""
        self.headers = {"Host": host}
        """Headers for each request: Host is the service's name, not the address."""
        self.hangs = False
        """Whether the replica failed to connect or answer in time."""
        self._ended = ended
        self._under_way = 0
        self._limit = math.inf
        self._failures = 0
        self._answered_at = -math.inf
        self._avoid_until = 0.0
        self._probe_at = 0.0

    def __enter__(self) -> "Replica":
        """Count a request that starts."""
        self._under_way += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Count a request's end.

        A failure makes the next requests avoid this replica; a `TimeoutError` marks it as hanging.
        """
        self._under_way -= 1
        if kind is None or (issubclass(kind, ErrorAnswer) and not issubclass(kind, BrokenAnswer)):
            self._answered()
        elif not issubclass(kind, TooShort | asyncio.CancelledError):
            self._failed(issubclass(kind, TimeoutError) and not issubclass(kind, Slow))
        self._ended()

    def may_be_asked(self, now: float) -> bool:
        """Return whether a request may be sent to it. A hanging replica gets one probe at a time."""
        if self.hangs:
            return self._under_way == 0 and now >= self._probe_at
        return self._under_way < self._limit

    def answered_since(self, moment: float) -> bool:
        """Return whether any request was answered since this moment."""
        return self._answered_at >= moment

    def rank(self, now: float) -> tuple[bool, int, float]:
        """Return a sort key, lower is better: no recent failure, few requests under way, then chance."""
        return now < self._avoid_until, self._under_way, random.random()

    def _answered(self) -> None:
        if self.hangs:
            # Waiting requests must not all arrive at once.
            self._limit = 1
        self.hangs = False
        self._failures = 0
        self._avoid_until = 0.0
        self._answered_at = monotonic()
        self._limit = self._limit + 1 if self._limit < policy.FULL_SPEED else math.inf

    def _failed(self, hangs: bool) -> None:
        now = monotonic()
        first, longest = policy.AVOID_SECONDS
        avoid_seconds = min(first * 2.0 ** min(self._failures, 20), longest)
        self.hangs = hangs or self.hangs
        self._avoid_until = now + avoid_seconds
        self._probe_at = now + min(avoid_seconds, policy.PROBE_SECONDS)
        self._failures += 1
