"""Replicas of one service: addresses, choice, retries and hang detection."""

import asyncio
import contextlib
import ipaddress
import logging
import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar
from urllib.parse import urlsplit

from inference.budget import RetryBudget
from inference.replica import Replica, Slow, TooShort

log = logging.getLogger("inference")

REFRESH_SECONDS = 5.0
"""Seconds after which addresses are resolved again: the lifetime that a cluster's name server gives them."""
WAIT_SECONDS = 1.0
"""Seconds that a request waits for the name server if the addresses are twice `REFRESH_SECONDS` old.

After a pause all replicas may have changed, and a connection to an unused address hangs instead of being refused.
"""

RESOLVE_SECONDS = 10.0
"""Seconds that the name server may take before it is asked again."""

HANG_SHARE = 0.2
"""Share of a request's deadline without an answer after which a replica hangs; a shorter wait proves nothing."""
OWN_PAUSE_SECONDS = 0.5
"""Seconds of a timer's delay that show that this process stood still, stopped or without a CPU.

A missing answer then says nothing about the replica, since the answer may have arrived meanwhile.
"""
RETRIES = 2
"""Retries of one request; the `RetryBudget` limits those of all requests."""
RETRY_PAUSE_SECONDS = 0.02
"""Seconds to wait before retrying a replica whose connection failed, if there is no other."""

Resolve = Callable[[str], Awaitable[list[str]]]
"""Maps a host name to addresses; raises OSError."""
T = TypeVar("T")
Send = Callable[["Replica", float], Awaitable[T]]
"""Sends a request to a replica, which has this many seconds to answer."""


class Unreachable(Exception):
    """No replica may be tried now; the message says why."""


class _Paused(TooShort):
    """No answer, while this process stood still."""


@dataclass(frozen=True, slots=True)
class Failures:
    """A client's exceptions after which a retry may succeed."""

    anywhere: tuple[type[Exception], ...]
    """Exceptions after which any replica may be tried, even the same one, because no answer had begun."""
    elsewhere: tuple[type[Exception], ...]
    """Exceptions after which only another replica may be tried, as after a timeout."""

    def all(self) -> tuple[type[Exception], ...]:
        """Return both kinds, and the timeout."""
        return (TimeoutError, *self.anywhere, *self.elsewhere)


async def resolve(host: str) -> list[str]:
    """Return the IPv4 and IPv6 addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None)
    return sorted({str(address[0]) for *_, address in found})


class Replicas:
    """The replicas behind a base URL, with retries of the requests to them.

    Names are resolved again in the background; if that fails, the known addresses stay. With HTTPS, or an address
    instead of a name, the URL itself is the only replica.
    """

    def __init__(self, url: str, resolve: Resolve = resolve, refresh_seconds: float = REFRESH_SECONDS) -> None:
        parts = urlsplit(url.rstrip("/"))
        self._host = parts.hostname or ""
        self._port = f":{parts.port}" if parts.port else ""
        self._path = parts.path
        self._resolve = resolve
        self._refresh_seconds = refresh_seconds
        self._whole = Replica(url.rstrip("/"), parts.netloc, self._request_ended)
        self._named = parts.netloc
        self._by_address: dict[str, Replica] = {}
        self._resolvable = parts.scheme == "http" and not _is_address(self._host)
        self._resolved_at = -math.inf
        self._refresh_began = -math.inf
        self._refreshing: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._probes: set[asyncio.Task[None]] = set()
        self.budget = RetryBudget()
        """Retry budget of all requests sent through this object."""

    def __len__(self) -> int:
        """Return how many replicas are known; at least 1."""
        return max(1, len(self._by_address))

    async def ask(
        self, send: Send[T], seconds: float, failures: Failures, retried: Callable[[], None] = lambda: None
    ) -> T:
        """Send a request to one replica, and after a failure to another, within its deadline.

        An attempt gets half of the remaining time while another replica could be tried. A hanging replica gets a copy
        of a request that another one answers. So use this only for requests that may be repeated.

        Args:
            send: Sends the request once.
            seconds: Seconds from now to the deadline.
            failures: Exceptions of `send` after which a retry may succeed.
            retried: Called before each retry.

        Raises:
            Unreachable: No replica may be tried, or none is known in time.
            TimeoutError: There was no answer in time.
            Exception: The last attempt of `send` raised it.
        """
        self.budget.add()
        end = monotonic() + seconds
        tried: set[Replica] = set()
        for attempt in range(RETRIES + 1):
            replica = await self._pick_until(end, tried)
            tried.add(replica)
            if not replica.hangs:
                self._probe_beside(send, seconds)
            try:
                return await self._attempt(replica, send, self._granted(replica, end, tried, attempt), seconds)
            except failures.all() as error:
                others = self._others(tried)
                mendable = bool(others) or isinstance(error, failures.anywhere)
                if attempt == RETRIES or not mendable or monotonic() >= end or not self.budget.take():
                    raise
                retried()
                if not others:
                    await asyncio.sleep(RETRY_PAUSE_SECONDS * attempt)
        raise AssertionError("unreachable")

    async def pick(self, tried: Collection[Replica] = ()) -> Replica:
        """Return the replica for the next request, preferably one that it has not tried.

        This waits for the name server the first time, and after a pause. It also waits for another request to end while
        all recovering replicas are at their limits.

        Raises:
            Unreachable: All replicas are known to hang.
        """
        await self._resolve_in_time()
        while not (candidates := self._others(tried) or self._others(())):
            if all(replica.hangs for replica in self._known()):
                raise Unreachable(f"{self._named} has made no connection or given no answer in time lately")
            await self._ended.wait()
        now = monotonic()
        return min(candidates, key=lambda replica: replica.rank(now))

    async def ranked(self) -> list[Replica]:
        """Return the replicas that a probe may use, the most promising first.

        A probe does not count as a request and does not wait for one, so it is answered however many requests wait.
        """
        await self._resolve_in_time()
        now = monotonic()
        return sorted(self._known(), key=lambda replica: (replica.hangs, *replica.rank(now)))

    async def _pick_until(self, end: float, tried: Collection[Replica]) -> Replica:
        try:
            async with asyncio.timeout(end - monotonic()):
                return await self.pick(tried)
        except TimeoutError:
            what = "had no place for one more request" if self._by_address else "could not be resolved"
            raise Unreachable(f"{self._named} {what} in time") from None

    def _granted(self, replica: Replica, end: float, tried: Collection[Replica], attempt: int) -> float:
        left = max(end - monotonic(), 0.001)
        could_retry = attempt < RETRIES and self._others(tried) and self.budget.has()
        return left / 2 if could_retry or replica.hangs else left

    async def _attempt(self, replica: Replica, send: Send[T], granted: float, seconds: float) -> T:
        began = monotonic()
        with replica:
            try:
                async with asyncio.timeout(granted) as timer:
                    return await send(replica, granted)
            except TimeoutError:
                if not timer.expired():
                    raise
                if monotonic() - began > granted + OWN_PAUSE_SECONDS:
                    raise _Paused from None
                if granted < HANG_SHARE * seconds:
                    raise TooShort from None
                if replica.answered_since(began):
                    raise Slow from None
                raise

    def _probe_beside(self, send: Send[T], seconds: float) -> None:
        now = monotonic()
        for replica in self._known():
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
            await self._attempt(replica, send, seconds / 2, seconds)

    def _known(self) -> Collection[Replica]:
        return self._by_address.values() or (self._whole,)

    def _others(self, tried: Collection[Replica]) -> list[Replica]:
        """Return the replicas not tried yet that answer in time, or else a hanging one that is due for a probe."""
        now = monotonic()
        others = [replica for replica in self._known() if replica not in tried and replica.may_be_asked(now)]
        return [replica for replica in others if not replica.hangs] or others

    async def _resolve_in_time(self) -> None:
        age_seconds = monotonic() - self._resolved_at
        if self._resolvable and age_seconds > self._refresh_seconds:
            await self._refreshed(age_seconds)

    def _request_ended(self) -> None:
        self._ended.set()
        self._ended = asyncio.Event()

    async def _refreshed(self, age_seconds: float) -> None:
        refreshing = self._refresh_once()
        if not self._by_address:
            await asyncio.shield(refreshing)
        elif age_seconds > 2 * self._refresh_seconds:
            # Counted from the start of the lookup: if it takes longer, requests use the known addresses.
            left = self._refresh_began + WAIT_SECONDS - monotonic()
            await asyncio.wait({refreshing}, timeout=max(left, 0))

    def _refresh_once(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refresh_began = monotonic()
            self._refreshing = asyncio.create_task(self._refresh())
        return self._refreshing

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                addresses = await self._resolve(self._host)
            if not addresses:
                raise OSError("the name has no addresses")
        except OSError as error:
            # Requests to the whole name now fail with the same error, which the client reports.
            log.warning(
                "name could not be resolved", extra={"host": self._host, "reason": str(error) or "no answer in time"}
            )
            addresses = list(self._by_address)
        if set(addresses) != set(self._by_address):
            log.info("replicas changed", extra={"host": self._host, "addresses": addresses})
        # Replicas that stay keep their counts.
        self._by_address = {address: self._by_address.get(address) or self._replica(address) for address in addresses}
        self._resolved_at = monotonic()

    def _replica(self, address: str) -> Replica:
        host = f"[{address}]" if ":" in address else address
        return Replica(f"http://{host}{self._port}{self._path}", self._named, self._request_ended)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
