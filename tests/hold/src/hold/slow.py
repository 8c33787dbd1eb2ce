"""Clients that are slow on purpose, by the thousand: each is a socket that we poll, none has a thread."""

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hold.flood import metrics, sample

HEAD = b"POST /api/v1/predict HTTP/1.1\r\nHost: gateway\r\nX-Slow: "
BODY = b"POST /api/v1/predict HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000\r\n\r\n{"
UNREAD = b"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\n\r\n" * 60
"""More answers than the buffers on both sides hold."""
RECEIVE_BYTES = 4096
"""Of the socket's buffer of a client that does not read."""
UNREAD_PAUSE = 0.01
"""Seconds between two clients that do not read: their answers have to be made, and that is not what is tried here."""
ENDED = select.POLLHUP | select.POLLERR | select.POLLRDHUP


@dataclass
class Slow:
    """Slow clients of one kind: how many there were, and after how many seconds each was ended by the server."""

    kind: str
    clients: int
    seconds: list[float] = field(default_factory=list)


def run(url: str, kinds: dict[str, tuple[bytes, bytes, int]], give_up: float) -> list[Slow]:
    """Open the clients of all kinds, keep them as they are until the server has ended them, or for `give_up` seconds.

    Args:
        url: Of the gateway.
        kinds: Name -> what each sends at once, what it sends every second after that, and how many there are.
        give_up: Seconds.
    """
    found = {kind: Slow(kind, clients) for kind, (_, _, clients) in kinds.items()}
    open_: dict[int, tuple[socket.socket, str, float]] = {}
    poll = select.poll()
    for kind, (first, _, clients) in kinds.items():
        for _ in range(clients):
            sock = opened(url, first, RECEIVE_BYTES if first is UNREAD else 0)
            time.sleep(UNREAD_PAUSE if first is UNREAD else 0)
            open_[sock.fileno()] = (sock, kind, time.monotonic())
            poll.register(sock, select.POLLRDHUP)
    _keep(open_, poll, found, lambda kind: kinds[kind][1], time.monotonic() + give_up)
    for sock, _, _ in open_.values():
        sock.close()
    return list(found.values())


def opened(url: str, first: bytes, receive_bytes: int = 0) -> socket.socket:
    """A connection that has sent its first bytes, as many as the other side takes."""
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    at = urlsplit(url)
    sock.connect((at.hostname, at.port))
    sock.setblocking(False)
    _send(sock, first)
    return sock


def most_connections(url: str, clients: int) -> int:
    """How many connections the gateway has open at most while so many are opened that ask nothing."""
    most, sockets = 0.0, []
    for n in range(clients):
        sockets.append(opened(url, b""))
        if n % 500 == 499:
            most = max(most, sample(metrics(url), "gateway_connections"))
    for sock in sockets:
        sock.close()
    return int(most)


def _keep(
    open_: dict[int, tuple[socket.socket, str, float]],
    poll: select.poll,
    found: dict[str, Slow],
    more: Callable[[str], bytes],
    until: float,
) -> None:
    trickled = time.monotonic()
    while open_ and time.monotonic() < until:
        for number, events in poll.poll(100):
            if events & ENDED:
                sock, kind, since = open_.pop(number)
                found[kind].seconds.append(time.monotonic() - since)
                poll.unregister(sock)
                sock.close()
        if time.monotonic() - trickled >= 1:
            trickled = time.monotonic()
            for sock, kind, _ in open_.values():
                _send(sock, more(kind))


def _send(sock: socket.socket, data: bytes) -> None:
    try:
        sock.send(data)
    except (BlockingIOError, ConnectionError):
        # Full, or ended: the poll finds that.
        return
