"""Processes of a soak: two replicas of each tier, which are killed, stopped and restarted while mail flows."""

import asyncio
import contextlib
import json
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.servers import START_TIMEOUT, Server, Servers, free_port
from bench.systems import MODEL, MODEL_READY, ROOT
from resilience.part import say
from resilience.soak_rules import Outage
from resilience.soak_schedule import ENVIRONMENTS, HANG, KILL, REPLICAS, TIERS, Fault, Target, targets

NAMES = Path(__file__).with_name("names")
ADDRESSES = ("127.0.0.1", "127.0.0.2")
"""Addresses of a hop's replicas behind one name and port, as a headless Service has them."""
UP_PATHS = {"gateway": "/health", "transformer": "/v2/health/live", "predictor": MODEL_READY}
"""Path by tier that says whether the process itself is up, whatever is behind it."""

FLUSH_SECONDS = 5.0
"""Seconds of INFERENCE_LOG_FLUSH_SECONDS, whose rows a killed transformer may lose."""
DRAIN_SECONDS = 3.0
"""Seconds of a gateway's DRAIN_SECONDS, during which it accepts requests after SIGTERM."""
LEAVE_SECONDS = 1.0
"""Seconds after SIGTERM within which clients learn that a gateway leaves."""
STOP_SECONDS = 30.0
"""Longest time in seconds from SIGTERM to a process's end."""
LOOK_SECONDS = 0.1
WATCH_SECONDS = 1.0
ENDINGS = (0, -signal.SIGTERM)
"""Exit statuses after SIGTERM: uvicorn raises the signal again once everything is finished."""


@dataclass
class Fleet:
    """All processes, the faults they were given, and the ends they came to by themselves."""

    servers: Servers
    model: Path
    folder: Path
    running: dict[Target, Server] = field(default_factory=dict)
    outages: list[Outage] = field(default_factory=list)
    skipped: int = 0
    """Faults skipped because the process had another one at the time."""
    died: list[str] = field(default_factory=list)
    """Processes that ended by themselves, did not end at SIGTERM, or ended with an error."""
    _ports: dict[tuple[str, str], int] = field(default_factory=dict)
    _busy: set[Target] = field(default_factory=set)
    _leaving: set[Target] = field(default_factory=set)
    _gone: set[Target] = field(default_factory=set)
    _starts: Counter[Target] = field(default_factory=Counter)

    @property
    def log_uri(self) -> str:
        """Return the URI of the inference log of all transformers."""
        return (self.folder / "log").absolute().as_uri()

    @property
    def gateway_urls(self) -> list[str]:
        """Return the base URL of each gateway, which keeps its port."""
        return [f"http://{ADDRESSES[0]}:{self._ports['gateway', str(number)]}" for number in range(REPLICAS)]

    def open_gateways(self) -> list[int]:
        """Return the numbers of the gateways that clients may choose: those that are not leaving."""
        leaving = {each.replica for each in self._leaving}
        return [number for number in range(REPLICAS) if number not in leaving] or list(range(REPLICAS))

    async def start(self) -> None:
        """Start everything and wait until it is up and the gateways find both environments."""
        for key in [("gateway", str(number)) for number in range(REPLICAS)] + [
            (tier, name) for tier in TIERS[1:] for name in ENVIRONMENTS
        ]:
            self._ports[key] = free_port()
        self._resolve()
        for target in reversed(targets()):
            self._start(target)
        await asyncio.gather(*(self._up(target) for target in targets()))
        await asyncio.to_thread(self.servers.wait_ready)

    async def apply(self, fault: Fault) -> None:
        """Apply a scheduled fault to a process and wait until it is up again."""
        target = fault.target
        if target in self._busy:
            self.skipped += 1
            return
        self._busy.add(target)
        start = time.monotonic()
        try:
            if fault.kind == HANG:
                await self._hang(target, fault.seconds)
            else:
                await self._replace(target, fault)
        finally:
            self._busy.discard(target)
        self.outages.append(outage := Outage(target, fault.kind, start, time.monotonic()))
        say(f"soak: {fault.at:5.1f} s: {target}: {fault.kind}, up again after {outage.end - outage.start:.1f} s")

    async def watch(self) -> None:
        """Record processes that end by themselves, until cancelled."""
        while True:
            for target, server in self.running.items():
                if target not in self._busy and server.process.poll() is not None:
                    self.died.append(f"{server.name} ended with status {server.process.returncode}: {server.tail()}")
                    self._busy.add(target)
            await asyncio.sleep(WATCH_SECONDS)

    async def stop(self) -> None:
        """End all processes by SIGTERM, tier by tier, so that none sends to one that has ended."""
        for tier in TIERS:
            await asyncio.gather(*(self._end(target) for target in list(self.running) if target.tier == tier))

    async def _hang(self, target: Target, seconds: float) -> None:
        process = self.running[target].process
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    async def _replace(self, target: Target, fault: Fault) -> None:
        """End a process and start the next one in its place."""
        if fault.kind == KILL:
            self.running[target].process.kill()
            await self._wait(target)
            self.servers.forget(self.running.pop(target))
        else:
            self._leave(target)
            await self._end(target)
        await asyncio.sleep(fault.seconds)
        self._start(target)
        await self._up(target)
        self._gone.discard(target)
        self._leaving.discard(target)
        self._resolve()

    def _leave(self, target: Target) -> None:
        """Remove a process from the name server's answer and, after a moment, from the gateways that clients choose."""
        self._gone.add(target)
        self._resolve()
        if target.tier == "gateway":
            asyncio.get_running_loop().call_later(LEAVE_SECONDS, self._leaving.add, target)

    async def _end(self, target: Target) -> None:
        server = self.running[target]
        server.process.terminate()
        if not await self._wait(target, STOP_SECONDS):
            self.died.append(f"{server.name} did not end within {STOP_SECONDS:g} s of SIGTERM")
            server.process.kill()
            await self._wait(target)
        elif server.process.returncode not in ENDINGS:
            self.died.append(f"{server.name} ended at SIGTERM with status {server.process.returncode}: {server.tail()}")
        self.servers.forget(self.running.pop(target))

    async def _wait(self, target: Target, seconds: float = STOP_SECONDS) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self.running[target].process.wait, seconds)
            return True
        return False

    async def _up(self, target: Target) -> None:
        """Wait until a process says that it is up."""
        server = self.running[target]
        give_up = time.monotonic() + START_TIMEOUT
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while not await _answers(session, server.url + UP_PATHS[target.tier]):
                if server.process.poll() is not None or time.monotonic() > give_up:
                    raise SystemExit(f"{server.name} does not start, its log ends:\n{server.tail()}")
                await asyncio.sleep(LOOK_SECONDS)

    def _resolve(self) -> None:
        """Give the name server the current replicas."""
        found: dict[str, list[str]] = {}
        for target in targets():
            if target.tier != "gateway":
                addresses = found.setdefault(_name(target.tier, target.environment), [])
                addresses += [] if target in self._gone else [ADDRESSES[target.replica]]
        new = self._names.with_suffix(".new")
        new.write_text(json.dumps(found))
        new.replace(self._names)

    @property
    def _names(self) -> Path:
        return self.folder / "names.json"

    def _start(self, target: Target) -> None:
        self._starts[target] += 1
        name = f"{target} {self._starts[target]}".replace(" ", "-")
        command = [str(ROOT / "services" / target.tier / ".venv" / "bin" / target.tier)]
        own = {"MODEL_NAME": MODEL, "PYTHONPATH": str(NAMES), "HOLD_NAMES": str(self._names)}
        address = ADDRESSES[0 if target.tier == "gateway" else target.replica]
        port = self._ports[_key(target)]
        ready = "/ready" if target.tier == "gateway" else MODEL_READY
        settings = own | self._settings(target) | {"HTTP_HOST": address, "PORT": str(port), "HTTP_PORT": str(port)}
        self.running[target] = self.servers.start(name, command, port, settings, ready, address)

    def _settings(self, target: Target) -> dict[str, str]:
        if target.tier == "predictor":
            return {"MODEL_DIR": str(self.model)}
        if target.tier == "transformer":
            log = {"INFERENCE_LOG_URI": self.log_uri, "INFERENCE_LOG_FLUSH_SECONDS": f"{FLUSH_SECONDS:g}"}
            return log | {
                "ENVIRONMENT": target.environment,
                "PREDICTOR_URL": self._url("predictor", target.environment),
            }
        routes = {name: self._url("transformer", name) for name in ENVIRONMENTS}
        return {"ENVIRONMENTS": json.dumps(routes), "DRAIN_SECONDS": f"{DRAIN_SECONDS:g}"}

    def _url(self, tier: str, environment: str) -> str:
        return f"http://{_name(tier, environment)}:{self._ports[tier, environment]}"


def _name(tier: str, environment: str) -> str:
    return f"{environment}-{tier}s.test"


def _key(target: Target) -> tuple[str, str]:
    return target.tier, target.environment or str(target.replica)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
