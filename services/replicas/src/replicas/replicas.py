"""The replicas of one service."""

import asyncio
import contextlib
import ipaddress
import logging
import math
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlsplit

from replicas.budget import RetryBudget

log = logging.getLogger("replicas")

REFRESH_SECONDS = 5.0
"""How old the addresses may be: what a name server for pods lets them live."""
WAIT_SECONDS = 1.0
"""How long a request waits for the name server when the addresses are twice as old: after a pause, the replicas may be
others altogether, and a connection to an address that nobody has any more is not refused, it hangs."""
AVOID_SECONDS = (1.0, 30.0)
"""How long a replica is asked only when there is no other, after a request to it has failed; twice as long after each
failure more, up to the second figure."""

RESOLVE_SECONDS = 10.0
"""How long the name server may take; then it is asked again."""

PROBE_SECONDS = 5.0
"""How long at most a replica that hangs is not asked at all. Then one request finds out: a copy that nobody waits for
while another replica answers; with no other, a client's own, and the rest are refused instead of waiting in vain."""
HANG_SHARE = 0.2
"""A replica that gave no answer in this share of a request's deadline hangs; in less, nothing is known of it."""
OWN_PAUSE_SECONDS = 0.5
"""Lateness of a timer that shows that this process stood still, stopped or without a CPU. No answer in time then says
nothing about the replica: the answer may have come meanwhile."""
FULL_SPEED = 32
"""A replica that hung has one more request under way after each answer, so twice as many each round, up to these."""
RETRIES = 2
"""Of one request; the `RetryBudget` bounds those of all of them."""
RETRY_PAUSE_SECONDS = 0.02
"""Before a replica is asked again whose connection failed, when there is no other."""

Resolve = Callable[[str], Awaitable[list[str]]]
"""Host name -> addresses; raises OSError."""
T = TypeVar("T")
Send = Callable[["Replica", float], Awaitable[T]]
"""Sends a request to a replica, which has so many seconds to answer."""


class Unreachable(Exception):
    """None of the replicas may be asked now; the message says why."""


class _TooShort(TimeoutError):
    """No answer, in too short a time to say anything of the replica."""


class _Paused(_TooShort):
    """No answer in a time in which this process stood still."""


class _Slow(TimeoutError):
    """No answer to this request, while others had theirs: it does not hang."""


@dataclass(frozen=True, slots=True)
class Failures:
    """What of a client's exceptions may be mended by a retry."""

    anywhere: tuple[type[Exception], ...]
    """By any replica, the same one if there is no other: no answer had begun."""
    elsewhere: tuple[type[Exception], ...]
    """By another replica only, as no answer in time is."""

    def all(self) -> tuple[type[Exception], ...]:
        """Both of them, and no answer in time."""
        return (TimeoutError, *self.anywhere, *self.elsewhere)


class Replica:
    """One replica, and how many requests to it are under way: a context manager around each."""

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
        """Base URL, without a slash at its end."""
        self.headers = {"Host": host}
        """To be sent with each request: the name that was asked for, not the address."""
        self.hangs = False
        """Whether it made no connection or gave no answer in time."""
        self._ended = ended
        self._under_way = 0
        self._limit = math.inf
        self._failures = 0
        self._answered_at = -math.inf
        self._avoid_until = 0.0
        self._probe_at = 0.0

    def __enter__(self) -> "Replica":
        """Count a request that begins."""
        self._under_way += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Count its end; one that failed sends the next ones elsewhere, and all of them after a `TimeoutError`."""
        self._under_way -= 1
        if kind is None:
            self._answered()
        elif not issubclass(kind, _TooShort | asyncio.CancelledError):
            self._failed(issubclass(kind, TimeoutError) and not issubclass(kind, _Slow))
        self._ended()

    def may_be_asked(self, now: float) -> bool:
        """Whether it answers in time, as far as is known; one request at a time finds out anew."""
        if self.hangs:
            return self._under_way == 0 and now >= self._probe_at
        return self._under_way < self._limit

    def answered_since(self, moment: float) -> bool:
        """Whether any request has had its answer since then."""
        return self._answered_at >= moment

    def rank(self, now: float) -> tuple[bool, int, float]:
        """Less is better: not failed just now, then few requests under way, then chance."""
        return now < self._avoid_until, self._under_way, random.random()

    def _answered(self) -> None:
        if self.hangs:
            # Those that wait must not all come at once.
            self._limit = 1
        self.hangs = False
        self._failures = 0
        self._avoid_until = 0.0
        self._answered_at = monotonic()
        self._limit = self._limit + 1 if self._limit < FULL_SPEED else math.inf

    def _failed(self, hangs: bool) -> None:
        now = monotonic()
        first, longest = AVOID_SECONDS
        avoid_seconds = min(first * 2.0 ** min(self._failures, 20), longest)
        self.hangs = hangs or self.hangs
        self._avoid_until = now + avoid_seconds
        self._probe_at = now + min(avoid_seconds, PROBE_SECONDS)
        self._failures += 1


async def resolve(host: str) -> list[str]:
    """The IPv4 and IPv6 addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None)
    return sorted({str(address[0]) for *_, address in found})


class Replicas:
    """The replicas behind a base URL, and the retries of what is asked of them.

    Names are resolved anew while requests go on; when that fails, the addresses that are known stay. Over
    HTTPS, and for an address instead of a name, the URL is its own only replica.
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
        """Of all requests that are asked here."""

    def __len__(self) -> int:
        """How many replicas there are, as far as is known; 1 at least."""
        return max(1, len(self._by_address))

    async def ask(
        self, send: Send[T], seconds: float, failures: Failures, retried: Callable[[], None] = lambda: None
    ) -> T:
        """Send a request to one replica, and after a failure to another, within its deadline.

        An attempt is granted half of what is left while another replica could be asked. One that hung is sent a copy
        of a request that another answers. So only for requests that do no harm twice.

        Args:
            send: Sends it once.
            seconds: The deadline, from now.
            failures: Which of its exceptions a retry may mend.
            retried: Called before each retry.

        Raises:
            Unreachable: No replica may be asked, or none is known in time.
            TimeoutError: No answer in time.
            Exception: What `send` raises, in its last attempt.
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
        """The replica to send the next request to, another than those that it has tried if there is one.

        Waits for the name server the first time, and after a pause; and for the end of another request while all
        replicas have as many as they may after a hang.

        Raises:
            Unreachable: All of them hang, as far as is known.
        """
        await self._resolve_in_time()
        while not (candidates := self._others(tried) or self._others(())):
            if all(replica.hangs for replica in self._known()):
                raise Unreachable(f"{self._named} has made no connection or given no answer in time lately")
            await self._ended.wait()
        now = monotonic()
        return min(candidates, key=lambda replica: replica.rank(now))

    async def ranked(self) -> list[Replica]:
        """The replicas that a probe may ask, the most promising first.

        A probe takes no place of a request's and waits for none, so it is answered however many requests wait.
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
                    raise _TooShort from None
                if replica.answered_since(began):
                    raise _Slow from None
                raise

    def _probe_beside(self, send: Send[T], seconds: float) -> None:
        now = monotonic()
        for replica in self._known():
            if replica.hangs and replica.may_be_asked(now):
                probe = asyncio.create_task(self._probe(replica, send, seconds))
                self._probes.add(probe)
                probe.add_done_callback(self._probes.discard)

    async def _probe(self, replica: Replica, send: Send[T], seconds: float) -> None:
        # Another request may have been quicker to ask it.
        if not replica.may_be_asked(monotonic()) or not self.budget.take():
            return
        # What becomes of it is noted by the replica, and is nobody's answer.
        with contextlib.suppress(Exception):
            await self._attempt(replica, send, seconds / 2, seconds)

    def _known(self) -> Collection[Replica]:
        return self._by_address.values() or (self._whole,)

    def _others(self, tried: Collection[Replica]) -> list[Replica]:
        """Those that answer in time, as far as is known; without any, one that hung and is due to be asked."""
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
            # From when it was asked: where it has not answered for longer, requests go to whom is known.
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
            # Whoever asks the whole name now gets the same error, said in the words of the client.
            log.warning(
                "name could not be resolved", extra={"host": self._host, "reason": str(error) or "no answer in time"}
            )
            addresses = list(self._by_address)
        if set(addresses) != set(self._by_address):
            log.info("replicas changed", extra={"host": self._host, "addresses": addresses})
        # The counts of those that stay are kept.
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
