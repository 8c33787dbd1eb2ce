"""Slow clients by the thousand: each is a socket that is polled, and none has a thread."""

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from resilience.flood import metrics, sample

HEAD = b"POST /api/v1/predict HTTP/1.1\r\nHost: gateway\r\nX-Slow: "
BODY = b"POST /api/v1/predict HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100000\r\n\r\n{"
UNREAD = b"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\n\r\n" * 60
"""Requests for more answers than the buffers on both sides hold."""
RECEIVE_BYTES = 4096
"""Bytes of the receive buffer of a client that does not read."""
UNREAD_PAUSE = 0.01
"""Seconds between two clients that do not read, because making their answers is not what is tested here."""
ENDED = select.POLLHUP | select.POLLERR | select.POLLRDHUP


@dataclass
class Slow:
    """Slow clients of one kind: their number, and the seconds after which the server ended each."""

    kind: str
    clients: int
    seconds: list[float] = field(default_factory=list)


def run(url: str, kinds: dict[str, tuple[bytes, bytes, int]], give_up: float) -> list[Slow]:
    """Open the clients of all kinds and keep them until the server has ended them, or for `give_up` seconds.

    Args:
        url: URL of the gateway.
        kinds: Bytes that each client sends at once, bytes it sends every second after that, and number of clients, by
            name.
        give_up: Longest time in seconds.
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
    """Return a connection that has sent as many of its first bytes as the other side accepts."""
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    at = urlsplit(url)
    sock.connect((at.hostname, at.port))
    sock.setblocking(False)
    _send(sock, first)
    return sock


def most_connections(url: str, clients: int) -> int:
    """Return the most connections that the gateway has open while so many are opened that send nothing."""
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
        # The socket is full or closed, which the poll will find.
        return
