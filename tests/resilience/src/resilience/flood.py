"""Floods from wrk, and the gateway's counts during them."""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import wrk
from bench.client import Client

SCRIPT = Path(__file__).with_name("flood.lua")
NICENESS = 5
"""Nice value of wrk, so that it leaves the cores to the servers; real clients have their own machines."""
SAMPLE = re.compile(r"^http_request_duration_seconds_count\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Flood:
    """Flood of wrk: environment, number of connections, and pause after each answer."""

    bodies: Path
    environment: str
    connections: int
    pause_ms: int = 0


@dataclass
class Counted:
    """Answers of the gateway between two looks, by status, and the seconds between."""

    seconds: float = 0.0
    statuses: dict[str, float] = field(default_factory=dict)

    def __add__(self, other: "Counted") -> "Counted":
        both = self.statuses.keys() | other.statuses.keys()
        sums = {status: self.statuses.get(status, 0) + other.statuses.get(status, 0) for status in both}
        return Counted(self.seconds + other.seconds, sums)

    def rate(self, *statuses: str) -> float:
        """Return the answers a second with these statuses; without any, of all statuses."""
        chosen = statuses or tuple(self.statuses)
        return sum(self.statuses.get(status, 0) for status in chosen) / self.seconds

    def __str__(self) -> str:
        found = ", ".join(f"{status}: {n:,.0f}" for status, n in sorted(self.statuses.items()) if n)
        return f"{found} in {self.seconds:.1f} s"


@contextlib.contextmanager
def flooding(url: str, flood: Flood, seconds: float) -> Iterator[None]:
    """Flood the gateway for so many seconds at most; the flood ends with the context."""
    options = ["--threads", "1", "--connections", str(flood.connections), "--duration", f"{seconds:.0f}s"]
    command = [wrk.require(), *options, "--timeout", "30s", "--script", str(SCRIPT), f"{url}/api/v1/predict"]
    arguments = ["--", str(flood.bodies), flood.environment, str(flood.pause_ms)]
    process = subprocess.Popen(
        ["nice", "-n", str(NICENESS), *command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"wrk ended early, with status {process.returncode}")
    finally:
        process.kill()
        process.wait()


def counted(url: str, environment: str, seconds: float) -> Counted:
    """Return the gateway's answers of the next seconds."""
    before, started = answers(url, environment), time.monotonic()
    time.sleep(seconds)
    after, ended = answers(url, environment), time.monotonic()
    return Counted(ended - started, {status: n - before.get(status, 0) for status, n in after.items()})


def answers(url: str, environment: str) -> dict[str, float]:
    """Return the answers that the gateway has counted for an environment so far, by status."""
    found: dict[str, float] = {}
    for text, value in SAMPLE.findall(metrics(url)):
        labels = dict(LABEL.findall(text))
        if labels.get("environment") == environment:
            found[labels["status"]] = found.get(labels["status"], 0) + float(value)
    return found


def metrics(url: str) -> str:
    """Return the gateway's metrics as text."""
    client = Client(url)
    try:
        return client.get("/metrics")
    finally:
        client.close()


def sample(text: str, name: str) -> float:
    """Return the value of a series, named as in the text; 0 if there is none."""
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")), 0.0)


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has in use, proc_pid_statm(5)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
