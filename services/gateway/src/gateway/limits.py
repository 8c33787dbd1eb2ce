"""Limits of clients' connections, and the room that all of them share."""

import resource
from dataclasses import dataclass, field

from gateway.framing import HeadLimits
from gateway.settings import MIB, Settings

SPARE_FILES = 500
"""Files that are no clients' connections: those to transformers, above all."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Of the connections of one server; times in seconds."""

    age: float
    """After this, and up to `JITTER` less, the next answer is the last."""
    idle: float = 75
    head: float = 10
    body: float = 30
    write: float = 10
    connections: int = 10_000
    heads: HeadLimits = field(default_factory=HeadLimits)
    waiting_bytes: int = 64 * MIB
    """Bytes of heads, and of requests behind one that is not answered, over all connections."""

    @classmethod
    def of(cls, settings: Settings, idle: float) -> "ConnectionLimits":
        """The settings' limits, with no more connections than files may be open."""
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
    """Bytes that all connections of a server keep of requests that are not under way yet, and their limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def change(self, more: int) -> bool:
        """Count so many bytes more, or fewer; return whether all are within the limit."""
        self.used += more
        return more <= 0 or self.used <= self.limit


def _raise_file_limit(wanted: int) -> int:
    """How many connections there is room for, once the process may open as many files as it wants or is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(wanted - SPARE_FILES, 1)
