"""Limits of client connections, and the room that all of them share."""

import resource
from dataclasses import dataclass, field

from httpserver.heads import HeadLimits

MIB = 1024 * 1024
SPARE_FILES = 500
"""Open files beyond client connections, mainly connections to other servers."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one server's connections; times in seconds."""

    age: float = float("inf")
    """Age after which the next answer closes the connection; up to half of it earlier."""
    idle: float = 75
    head: float = 10
    body: float = 30
    write: float = 10
    connections: int = 10_000
    heads: HeadLimits = field(default_factory=HeadLimits)
    waiting_bytes: int = 64 * MIB
    """Bytes of heads and of requests that wait behind another, over all connections."""
    body_bytes: int | None = None
    """Bytes of a body; None leaves the limit to the application."""
    bodies_bytes: int | None = None
    """Bytes of the bodies of all unanswered requests, over all connections; None sets no limit."""


class Room:
    """Bytes that all connections of a server hold, and their limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def change(self, more: int) -> bool:
        """Add bytes, or subtract if negative; return whether the total is within the limit."""
        self.used += more
        return more <= 0 or self.used <= self.limit


def raise_file_limit(wanted: int) -> int:
    """Raise the limit of open files as far as allowed.

    Args:
        wanted: Connections that shall be possible, beside `SPARE_FILES` other files.

    Returns:
        How many connections are possible, `wanted` at most.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        files = min(files, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(files - SPARE_FILES, 1)
