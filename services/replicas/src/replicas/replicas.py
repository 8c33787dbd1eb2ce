"""The replicas of one service."""

import asyncio
import ipaddress
import logging
import math
import random
from collections.abc import Awaitable, Callable
from time import monotonic
from types import TracebackType
from urllib.parse import urlsplit

log = logging.getLogger("replicas")

REFRESH_SECONDS = 5.0
"""How old the addresses may be: what a name server for pods lets them live."""
WAIT_SECONDS = 1.0
"""How long a request waits for the name server when the addresses are twice as old: after a pause, the replicas may be
others altogether, and a connection to an address that nobody has any more is not refused, it hangs."""
AVOID_SECONDS = (1.0, 30.0)
"""How long a replica is asked only when there is no other, after a request to it has failed; twice as long after each
failure more, up to the second figure."""

PROBE_SECONDS = 5.0
"""How long at most a replica to which no connection could be made in time is not asked at all. Then one request finds
out, and the others are refused at once instead of waiting for the same in vain."""

Resolve = Callable[[str], Awaitable[list[str]]]
"""Host name -> addresses; raises OSError."""


class Unreachable(Exception):
    """To none of the replicas could a connection be made lately."""


class Replica:
    """One replica, and how many requests to it are under way: a context manager around each."""

    __slots__ = ("_avoid_until", "_failures", "_hangs", "_probe_at", "_under_way", "headers", "url")

    def __init__(self, url: str, host: str) -> None:
        self.url = url
        """Base URL, without a slash at its end."""
        self.headers = {"Host": host}
        """To be sent with each request: the name that was asked for, not the address."""
        self._under_way = 0
        self._failures = 0
        self._avoid_until = 0.0
        self._hangs = False
        self._probe_at = 0.0

    def __enter__(self) -> "Replica":
        """Count a request that begins."""
        self._under_way += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Count its end; one that failed sends the next ones elsewhere, and all of them after a `TimeoutError`."""
        self._under_way -= 1
        self._hangs = kind is not None and issubclass(kind, TimeoutError)
        if kind is None:
            self._failures = 0
        else:
            first, longest = AVOID_SECONDS
            avoid_seconds = min(first * 2.0 ** min(self._failures, 20), longest)
            self._avoid_until = monotonic() + avoid_seconds
            self._probe_at = monotonic() + min(avoid_seconds, PROBE_SECONDS)
            self._failures += 1

    def may_be_asked(self, now: float) -> bool:
        """Whether connections to it are made in time, as far as is known; one request at a time finds out anew."""
        return not self._hangs or (self._under_way == 0 and now >= self._probe_at)

    def rank(self, now: float) -> tuple[bool, int, float]:
        """Less is better: not failed just now, then few requests under way, then chance."""
        return now < self._avoid_until, self._under_way, random.random()


async def resolve(host: str) -> list[str]:
    """The IPv4 and IPv6 addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None)
    return sorted({str(address[0]) for *_, address in found})


class Replicas:
    """The replicas behind a base URL.

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
        self._whole = Replica(url.rstrip("/"), parts.netloc)
        self._named = parts.netloc
        self._by_address: dict[str, Replica] = {}
        self._resolvable = parts.scheme == "http" and not _is_address(self._host)
        self._resolved_at = -math.inf
        self._refreshing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many replicas there are, as far as is known; 1 at least."""
        return max(1, len(self._by_address))

    async def pick(self) -> Replica:
        """The replica to send the next request to; waits for the name server the first time, and after a pause.

        Raises:
            Unreachable: To none of them could a connection be made lately.
        """
        now = monotonic()
        if self._resolvable and now > self._resolved_at + self._refresh_seconds:
            await self._refreshed(now - self._resolved_at)
            now = monotonic()
        known = self._by_address.values() or (self._whole,)
        candidates = [replica for replica in known if replica.may_be_asked(now)]
        if not candidates:
            raise Unreachable(f"no connection to {self._named} could be made lately")
        return min(candidates, key=lambda replica: replica.rank(now))

    async def _refreshed(self, age_seconds: float) -> None:
        refreshing = self._refresh_once()
        if not self._by_address:
            await asyncio.shield(refreshing)
        elif age_seconds > 2 * self._refresh_seconds:
            await asyncio.wait({refreshing}, timeout=WAIT_SECONDS)

    def _refresh_once(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        return self._refreshing

    async def _refresh(self) -> None:
        try:
            addresses = await self._resolve(self._host)
        except OSError as error:
            # Whoever asks the whole name now gets the same error, said in the words of the client.
            log.warning("name could not be resolved", extra={"host": self._host, "reason": str(error)})
            addresses = list(self._by_address)
        if set(addresses) != set(self._by_address):
            log.info("replicas changed", extra={"host": self._host, "addresses": addresses})
        # The counts of those that stay are kept.
        self._by_address = {address: self._by_address.get(address) or self._replica(address) for address in addresses}
        self._resolved_at = monotonic()

    def _replica(self, address: str) -> Replica:
        host = f"[{address}]" if ":" in address else address
        return Replica(f"http://{host}{self._port}{self._path}", self._named)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
