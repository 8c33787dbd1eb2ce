"""States of staging while it is shadowed to: up, slow, hung and dead."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from bench.servers import Server, Servers

STOPPED_SECONDS = 0.9
RUNNING_SECONDS = 0.1
Pair = tuple[Server, ...]
"""Predictor and its transformer."""


@contextlib.contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `work` in a thread while the context is open; the event tells it to end."""
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _up(_: Servers, __: Pair) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _slow(_: Servers, staging: Pair) -> Iterator[None]:
    def stop_and_go(ended: threading.Event) -> None:
        while not ended.wait(RUNNING_SECONDS):
            _send(staging, signal.SIGSTOP)
            ended.wait(STOPPED_SECONDS)
            _send(staging, signal.SIGCONT)

    with beside(stop_and_go):
        yield


@contextlib.contextmanager
def _hung(_: Servers, staging: Pair) -> Iterator[None]:
    _send(staging, signal.SIGSTOP)
    try:
        yield
    finally:
        _send(staging, signal.SIGCONT)


@contextlib.contextmanager
def _dead(servers: Servers, staging: Pair) -> Iterator[None]:
    for server in staging:
        server.process.kill()
        server.process.wait()
        servers.forget(server)
    yield


STAGING: dict[str, Callable[[Servers, Pair], contextlib.AbstractContextManager[None]]] = {
    "up": _up,
    "slow": _slow,
    "hung": _hung,
    "dead": _dead,
}


def _send(staging: Pair, number: signal.Signals) -> None:
    for server in staging:
        server.process.send_signal(number)
