"""Addresses: the replicas that a service's name leads to."""

import asyncio
import ipaddress
import logging
import math
from collections.abc import Awaitable, Callable, Collection
from time import monotonic
from urllib.parse import urlsplit

from inference import policy
from inference.replica import Replica

log = logging.getLogger("inference")

Resolve = Callable[[str], Awaitable[list[str]]]
"""Maps a host name to addresses; raises OSError."""


async def resolve(host: str) -> list[str]:
    """Return the IPv4 and IPv6 addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None)
    return sorted({str(address[0]) for *_, address in found})


class Addresses:
    """The replicas at the addresses of a base URL's host, which are resolved again in the background.

    If that fails, the known addresses stay. With HTTPS, or an address instead of a name, the URL itself is the only
    replica.

    Args:
        url: Base URL of the service.
        resolve: Finds the addresses.
        refresh_seconds: Seconds after which they are resolved again.
        ended: Called after each request to a replica.
    """

    def __init__(self, url: str, resolve: Resolve, refresh_seconds: float, ended: Callable[[], None]) -> None:
        parts = urlsplit(url.rstrip("/"))
        self.name = parts.netloc
        """The service's name, with its port if the URL has one."""
        self._host = parts.hostname or ""
        self._port = f":{parts.port}" if parts.port else ""
        self._path = parts.path
        self._resolve = resolve
        self._refresh_seconds = refresh_seconds
        self._request_ended = ended
        self._whole = Replica(url.rstrip("/"), self.name, ended)
        self._by_address: dict[str, Replica] = {}
        self._resolvable = parts.scheme == "http" and not _is_address(self._host)
        self._resolved_at = -math.inf
        self._refresh_began = -math.inf
        self._refreshing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many addresses are known."""
        return len(self._by_address)

    def replicas(self) -> Collection[Replica]:
        """Return the replica at each known address; the URL itself if none is known."""
        return self._by_address.values() or (self._whole,)

    async def refreshed(self) -> None:
        """Resolve the name if that is due. Wait for the result if no address is known or the known ones are old."""
        age_seconds = monotonic() - self._resolved_at
        if self._resolvable and age_seconds > self._refresh_seconds:
            await self._refreshed(age_seconds)

    async def _refreshed(self, age_seconds: float) -> None:
        refreshing = self._refresh_once()
        if not self._by_address:
            await asyncio.shield(refreshing)
        elif age_seconds > 2 * self._refresh_seconds:
            # Counted from the start of the lookup: if it takes longer, requests use the known addresses.
            left = self._refresh_began + policy.WAIT_SECONDS - monotonic()
            await asyncio.wait({refreshing}, timeout=max(left, 0))

    def _refresh_once(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refresh_began = monotonic()
            self._refreshing = asyncio.create_task(self._refresh())
        return self._refreshing

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(policy.RESOLVE_SECONDS):
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
        return Replica(f"http://{host}{self._port}{self._path}", self.name, self._request_ended)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
