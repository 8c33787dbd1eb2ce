"""Replicas of one service: choice, attempts and hang detection, by the rules of `inference.policy`."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from time import monotonic
from typing import TypeVar

from inference import policy
from inference.addresses import Addresses, Resolve, resolve
from inference.budget import RetryBudget
from inference.errors import Paused, Slow, TooShort, Unreachable
from inference.replica import Replica

T = TypeVar("T")
Send = Callable[[Replica, float], Awaitable[T]]
"""Sends a request to a replica, which has this many seconds to answer."""


class Replicas:
    """The replicas behind a base URL, with retries of the requests to them."""

    def __init__(self, url: str, resolve: Resolve = resolve, refresh_seconds: float = policy.REFRESH_SECONDS) -> None:
        self._addresses = Addresses(url, resolve, refresh_seconds, self._request_ended)
        self._ended = asyncio.Event()
        self._probes: set[asyncio.Task[None]] = set()
        self.budget = RetryBudget()
        """Retry budget of all requests sent through this object."""

    def __len__(self) -> int:
        """Return how many replicas are known; at least 1."""
        return max(1, len(self._addresses))

    async def ask(self, send: Send[T], seconds: float, retried: Callable[[], None] = lambda: None) -> T:
        """Send a request to one replica, and after a failure to another, within its deadline.

        An attempt gets a share of the remaining time while another replica could be tried. A hanging replica gets a
        copy of a request that another one answers. So use this only for requests that may be repeated.

        Args:
            send: Sends the request once.
            seconds: Seconds from now to the deadline.
            retried: Called before each retry.

        Raises:
            Unreachable: No replica may be tried, or none is known in time.
            TimeoutError: There was no answer in time.
            Exception: The last attempt of `send` raised it.
        """
        self.budget.add()
        end = monotonic() + seconds
        tried: set[Replica] = set()
        for attempt in range(policy.RETRIES + 1):
            replica = await self._pick_until(end, tried)
            tried.add(replica)
            if not replica.hangs:
                self._probe_beside(send, seconds)
            try:
                return await self._attempt(replica, send, self._granted(replica, end, tried, attempt), seconds)
            except policy.RETRIED as error:
                others = self._others(tried)
                may_help = bool(others) or isinstance(error, policy.ANYWHERE)
                if attempt == policy.RETRIES or not may_help or monotonic() >= end or not self.budget.take():
                    raise
                retried()
                if not others:
                    await asyncio.sleep(policy.RETRY_PAUSE_SECONDS * attempt)
        raise AssertionError("unreachable")

    async def pick(self, tried: Collection[Replica] = ()) -> Replica:
        """Return the replica for the next request, preferably one that it has not tried.

        This waits for the name server the first time, and after a pause. It also waits for another request to end while
        all recovering replicas are at their limits.

        Raises:
            Unreachable: All replicas are known to hang.
        """
        await self._addresses.refreshed()
        while not (candidates := self._others(tried) or self._others(())):
            if all(replica.hangs for replica in self._addresses.replicas()):
                raise Unreachable(f"{self._addresses.name} has made no connection or given no answer in time lately")
            await self._ended.wait()
        now = monotonic()
        return min(candidates, key=lambda replica: replica.rank(now))

    async def ranked(self) -> list[Replica]:
        """Return the replicas that a probe may use, the most promising first.

        A probe does not count as a request and does not wait for one, so it is answered however many requests wait.
        """
        await self._addresses.refreshed()
        now = monotonic()
        return sorted(self._addresses.replicas(), key=lambda replica: (replica.hangs, *replica.rank(now)))

    async def _pick_until(self, end: float, tried: Collection[Replica]) -> Replica:
        try:
            async with asyncio.timeout(end - monotonic()):
                return await self.pick(tried)
        except TimeoutError:
            what = "had no place for one more request" if len(self._addresses) else "could not be resolved"
            raise Unreachable(f"{self._addresses.name} {what} in time") from None

    def _granted(self, replica: Replica, end: float, tried: Collection[Replica], attempt: int) -> float:
        left = max(end - monotonic(), 0.001)
        could_retry = attempt < policy.RETRIES and self._others(tried) and self.budget.has()
        return left * policy.ATTEMPT_SHARE if could_retry or replica.hangs else left

    async def _attempt(self, replica: Replica, send: Send[T], granted: float, seconds: float) -> T:
        began = monotonic()
        with replica:
            try:
                async with asyncio.timeout(granted) as timer:
                    return await send(replica, granted)
            except TimeoutError:
                if not timer.expired():
                    raise
                if monotonic() - began > granted + policy.OWN_PAUSE_SECONDS:
                    raise Paused from None
                if granted < policy.HANG_SHARE * seconds:
                    raise TooShort from None
                if replica.answered_since(began):
                    raise Slow from None
                raise

    def _probe_beside(self, send: Send[T], seconds: float) -> None:
        now = monotonic()
        for replica in self._addresses.replicas():
            if replica.hangs and replica.may_be_asked(now):
                probe = asyncio.create_task(self._probe(replica, send, seconds))
                self._probes.add(probe)
                probe.add_done_callback(self._probes.discard)

    async def _probe(self, replica: Replica, send: Send[T], seconds: float) -> None:
        # Another request may have started to probe it first.
        if not replica.may_be_asked(monotonic()) or not self.budget.take():
            return
        # The replica records the outcome; the answer itself is discarded.
        with contextlib.suppress(Exception):
            await self._attempt(replica, send, seconds * policy.ATTEMPT_SHARE, seconds)

    def _others(self, tried: Collection[Replica]) -> list[Replica]:
        """Return the replicas not tried yet that answer in time, or else a hanging one that is due for a probe."""
        now = monotonic()
        known = self._addresses.replicas()
        others = [replica for replica in known if replica not in tried and replica.may_be_asked(now)]
        return [replica for replica in others if not replica.hangs] or others

    def _request_ended(self) -> None:
        self._ended.set()
        self._ended = asyncio.Event()
