"""Load from wrk over loopback."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")
TIMEOUT = 10
"""Seconds after which wrk counts an answer as a socket error."""


@dataclass(frozen=True)
class WrkFigures:
    """Figures of wrk: 2xx answers, errors (every other status, and sockets), the time and its percentiles."""

    mails: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float


def require() -> str:
    """Return the path of wrk; if it is not installed, end the program and say how to install it."""
    found = shutil.which("wrk")
    if found is None:
        raise SystemExit("the benchmark needs wrk to make its load, install it by: sudo apt-get install wrk")
    return found


def version() -> str:
    """Return the version that wrk reports."""
    # Its exit status is 1 even when only the version was asked for.
    said = subprocess.run([require(), "--version"], capture_output=True, text=True, check=False).stdout
    return said.split(" [")[0].removeprefix("wrk ")


def run(url: str, bodies: Path, connections: int, seconds: int, traced: float = 0, delay_ms: int = 0) -> WrkFigures:
    """Post the lines of the file `bodies` in turn over so many connections for so long, from one thread.

    Args:
        traced: Share of requests that have a sampled traceparent, sixteen in a row.
        delay_ms: Milliseconds that each connection pauses before its next request.
    """
    options = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command = [
        require(),
        *options,
        "--timeout",
        f"{TIMEOUT}s",
        "--script",
        str(SCRIPT),
        url,
        "--",
        str(bodies),
        str(traced),
        str(delay_ms),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 3 * TIMEOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"wrk ended with status {done.returncode}: {done.stdout}{done.stderr}")
    return parse(done.stdout)


def parse(output: str) -> WrkFigures:
    """Parse the line of JSON that wrk.lua prints below wrk's own report."""
    line = next((line for line in output.splitlines() if line.startswith("{")), None)
    if line is None:
        raise RuntimeError(f"wrk did not print its figures: {output}")
    said = json.loads(line)
    return WrkFigures(
        mails=said["requests"] - said["status_errors"],
        errors=said["status_errors"] + said["socket_errors"],
        seconds=said["seconds"],
        p50_ms=said["p50_ms"],
        p99_ms=said["p99_ms"],
    )
