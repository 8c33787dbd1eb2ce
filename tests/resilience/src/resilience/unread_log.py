"""Unread logs: gateway and transformers write to pipes, which are read, left unread and read again."""

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from bench import corpus
from bench.servers import Server, Servers
from resilience.check import Check, at_least, at_most
from resilience.flood import metrics, resident_bytes, sample
from resilience.part import Plan, say
from resilience.steady import Steady, steadily
from resilience.system import System

RATE = 400
"""Requests a second; within 15 seconds they make more lines than may wait."""
FILL = 400
"""Requests whose lines fill a pipe."""
TOLD_SECONDS = 10
PAUSE_SECONDS = 0.02
GRACE_SECONDS = 5.0
GROWTH_BYTES = 10 * 1024 * 1024
PIPED = ("gateway", "production-transformer", "staging-transformer")
LOST = "log_lines_dropped_total"


class Log:
    """Pipe in place of a server's log file, which its own thread reads while `reading` is set."""

    def __init__(self, path: Path, reading: threading.Event) -> None:
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._reading = reading
        self._text = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def lines(self) -> list[dict[str, Any]]:
        """Return the complete lines; raise ValueError if one is not a JSON object."""
        text = bytes(self._text)
        return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    def _read(self) -> None:
        while self._reading.wait():
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                data = b""
            self._text += data
            if not data:
                # The pipe is empty, or nobody writes.
                time.sleep(PAUSE_SECONDS)


def run(plan: Plan) -> list[Check]:
    """Send mail while the logs are read, unread, and read again; then end the processes."""
    folder = plan.folder("logging")
    reading = threading.Event()
    reading.set()
    logs = {name: Log(folder / f"{name}.log", reading) for name in PIPED}
    bodies = [json.dumps({"email_content": mail}).encode() for mail in corpus.sample(plan.corpus)]
    with Servers(folder) as servers:
        system = System(servers, plan.model)
        system.start()
        servers.wait_ready()
        return asyncio.run(_tried(system, bodies, round(RATE * plan.seconds / 2), reading, logs["gateway"]))


async def _tried(system: System, bodies: list[bytes], requests: int, reading: threading.Event, log: Log) -> list[Check]:
    assert system.gateway is not None
    say("logs read")
    await _send(system.url, bodies, FILL)
    read = await _send(system.url, bodies, requests)
    before = resident_bytes(system.gateway.pid)
    reading.clear()
    say("logs not read")
    unread = await _send(system.url, bodies, requests)
    grown = resident_bytes(system.gateway.pid) - before
    lost = int(sample(metrics(system.url), LOST))
    reading.set()
    told = await asyncio.to_thread(_told, log)
    lines = sum(1 + line.get("refused_before", 0) for line in log.lines() if line.get("logger") == "gateway.access")
    sent = FILL + len(read.answers) + len(unread.answers)
    reading.clear()
    await _send(system.url, bodies, FILL)
    seconds = {server.name: await asyncio.to_thread(_end, system.servers, server) for server in _ended(system)}
    slowest = max(seconds, key=lambda name: seconds[name])
    return [
        at_least("logging: lines dropped", lost, 1, note=f"of {sent:,} requests"),
        at_most("logging: lines neither written nor counted", abs(sent - lines - lost), 0),
        at_most("logging: dropped lines that no line tells of", abs(lost - told), 0),
        at_most("logging: failed requests", read.failed(200) + unread.failed(200), 0, note=unread.told()),
        at_most("logging: p99 while nobody reads", unread.p99_ms(200) / read.p99_ms(200), 2, "x that while read",
                f"{unread.p99_ms(200):.3g} ms at {RATE} requests/s"),
        at_most("logging: memory of the gateway while nobody reads", grown / 2**20, GROWTH_BYTES / 2**20, "MiB more"),
        at_most("logging: SIGTERM while nobody reads", seconds[slowest], GRACE_SECONDS, "s", slowest),
    ]  # fmt: skip


async def _send(url: str, bodies: list[bytes], requests: int) -> Steady:
    async with steadily(url, "production", bodies, RATE) as seen:
        await asyncio.sleep(requests / RATE)
    return seen


def _told(log: Log) -> int:
    """Wait for the line that says how many lines are missing; return the number over all such lines."""
    end = time.monotonic() + TOLD_SECONDS
    while not (told := [line["lines"] for line in log.lines() if line.get("logger") == "runtime"]):
        if time.monotonic() > end:
            return 0
        time.sleep(PAUSE_SECONDS)
    return sum(told)


def _ended(system: System) -> list[Server]:
    assert system.gateway is not None
    return [system.gateway, *system.transformers.values()]


def _end(servers: Servers, server: Server) -> float:
    """Return the seconds that a process takes to end after SIGTERM."""
    servers.forget(server)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    try:
        server.process.wait(4 * GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    return time.monotonic() - began
