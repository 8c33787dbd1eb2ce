"""Limits of client connections, and the room that all of them share."""

import resource
from dataclasses import dataclass, field

from gateway.http.framing import HeadLimits
from gateway.settings import MIB, Settings

SPARE_FILES = 500
"""Open files beyond client connections, mainly connections to transformers."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one server's connections; times in seconds."""

    age: float
    """Age after which the next answer closes the connection; up to `JITTER` of it earlier."""
    idle: float = 75
    head: float = 10
    body: float = 30
    write: float = 10
    connections: int = 10_000
    heads: HeadLimits = field(default_factory=HeadLimits)
    waiting_bytes: int = 64 * MIB
    """Bytes of heads and of requests that wait behind another, over all connections."""

    @classmethod
    def of(cls, settings: Settings, idle: float) -> "ConnectionLimits":
        """Return the limits from the settings, with at most as many connections as open files allow."""
        return cls(
            age=settings.max_connection_seconds,
            idle=idle,
            head=settings.max_head_seconds,
            body=settings.max_body_seconds,
            write=settings.max_write_seconds,
            connections=min(settings.max_connections, _raise_file_limit(settings.max_connections + SPARE_FILES)),
            heads=HeadLimits(headers=settings.max_headers),
            waiting_bytes=settings.max_waiting_bytes,
        )


class Room:
    """Bytes of requests not yet under way, counted over all connections of a server, and their limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def change(self, more: int) -> bool:
        """Add bytes, or subtract if negative; return whether the total is within the limit."""
        self.used += more
        return more <= 0 or self.used <= self.limit


def _raise_file_limit(wanted: int) -> int:
    """Raise the limit of open files as far as wanted and allowed; return how many connections it leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(wanted - SPARE_FILES, 1)
