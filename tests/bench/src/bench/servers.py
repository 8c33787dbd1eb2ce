"""Server processes of a run: started, waited for, and ended whatever happens."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn, Self

from bench.client import Client

START_TIMEOUT = 120.0
"""Seconds for a server to load its model and become ready."""
STOP_TIMEOUT = 10.0
"""Seconds for a server to end before it is killed."""
TAIL = 25
"""Number of last log lines to show when a server fails."""

# Products of sparse matrices use one thread. Idle BLAS threads would only blur the CPU time of every system.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Server(NamedTuple):
    """Server process, its address and its log."""

    name: str
    process: subprocess.Popen[bytes]
    url: str
    ready_path: str
    log: Path

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self.process.pid

    def tail(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL:])


class Servers:
    """Context that ends all servers of a run."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._servers: list[Server] = []
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            _signal(server, signal.SIGTERM)
        give_up = time.monotonic() + STOP_TIMEOUT
        for server in self._servers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(max(0.0, give_up - time.monotonic()))
            _signal(server, signal.SIGKILL)
            server.process.wait()

    def start(
        self,
        name: str,
        command: list[str],
        port: int,
        environment: dict[str, str],
        ready_path: str,
        address: str = "127.0.0.1",
    ) -> Server:
        """Start a server in its own session: Ctrl-C then reaches only the benchmark, which ends the server in order."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=os.environ | ONE_THREAD | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._servers.append(server := Server(name, process, f"http://{address}:{port}", ready_path, log))
        return server

    def forget(self, server: Server) -> None:
        """Forget a server that has been ended on purpose."""
        self._servers.remove(server)

    def wait_ready(self) -> None:
        """Wait until each server answers at its path for readiness."""
        give_up = time.monotonic() + START_TIMEOUT
        for server in self._servers:
            while not _ready(server):
                self.check()
                if time.monotonic() > give_up:
                    raise SystemExit(f"{server.name} is not ready, its log ends:\n{server.tail()}")
                time.sleep(0.2)

    def check(self) -> None:
        """End the program with the log's last lines if a server has ended."""
        for server in self._servers:
            if server.process.poll() is not None:
                status = server.process.returncode
                raise SystemExit(f"{server.name} ended with status {status}, its log ends:\n{server.tail()}")

    def tails(self) -> str:
        """Return the last lines of all logs, to show when a measurement goes wrong."""
        return "\n".join(f"--- {server.log}\n{server.tail()}" for server in self._servers)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end the program through every `finally`, without a traceback."""

    def end(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal(server: Server, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, number)


def _ready(server: Server) -> bool:
    client = Client(server.url)
    try:
        client.get(server.ready_path)
    except (OSError, RuntimeError, http.client.HTTPException):
        return False
    finally:
        client.close()
    return True
