"""Overload: more mail than can be served, one environment's flood beside another's mail, and slow clients.

Everything runs on one machine. The load shares its cores with the servers, and its speed changes within minutes. So
wrk, which makes the floods, runs at a low priority. What is served under a flood is compared with the peak measured
just before, and the median of the rounds counts. A separate client at normal priority times refusals, since wrk cannot
tell them from answers.

The peak is 64 connections, each of which sends again as soon as it is answered. A flood has enough connections to fill
the queue. Further ones bring the offered load, by the gateway's own count of answers, to over three times the peak.
"""

import asyncio
import http.client
import json
import os
import signal
import socket
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from bench import corpus, cpu
from bench.servers import Server, Servers
from resilience import slow
from resilience.check import Check, at_least, at_most
from resilience.flood import Counted, Flood, answers, counted, flooding, resident_bytes
from resilience.overload_rounds import Memory, Round, kept, refused, served
from resilience.part import Plan, say
from resilience.steady import Steady, steadily
from resilience.system import System

ROUNDS = 5
PEAK_CONNECTIONS = 64
QUEUE_MAILS = 4_000
QUEUE_SECONDS = 5.0
"""Longest queue in seconds, MAX_QUEUE_SECONDS; `QUEUE_MAILS` is MAX_QUEUED_MAILS."""
PAUSE_MS = 50
OFFERED = 3.8
"""Load to offer in units of the peak. It exceeds the required three, because the peak changes between two looks."""
PROBES = 50
"""Requests a second that time refusals."""
LIKE_BEFORE_MS = 100
"""Milliseconds within which an idle system answers; in a full queue an answer takes a second."""
BULKHEAD_RATE = 150
SLOW_LIMIT = 5
"""Seconds allowed for heads, bodies and unread answers in this run."""
SLACK = 3.0
"""Seconds allowed beyond a limit: a sweep, one more for a body known to the application, and a busy machine."""
SLOW_CLIENTS, UNREADING_CLIENTS = 1_000, 200
MAX_CONNECTIONS, IDLE_CONNECTIONS = 6_000, 6_500
GATEWAY = {
    "MAX_HEAD_SECONDS": str(SLOW_LIMIT),
    "MAX_BODY_SECONDS": str(SLOW_LIMIT),
    "MAX_WRITE_SECONDS": str(SLOW_LIMIT),
    "MAX_CONNECTIONS": str(MAX_CONNECTIONS),
}


@dataclass
class OverloadedSystem:
    """System under load, and the mail it is sent."""

    system: System
    bodies: Path
    """File with one JSON body a line."""

    @property
    def url(self) -> str:
        """Return the URL of the gateway."""
        return self.system.url

    @property
    def contents(self) -> list[bytes]:
        """Return the bodies of requests."""
        return self.bodies.read_bytes().splitlines()

    @property
    def servers(self) -> dict[str, Server]:
        """Return all processes by name."""
        assert self.system.gateway is not None
        tiers = {"predictor": self.system.predictors, "transformer": self.system.transformers}
        named = {f"{name} {tier}": server for tier, found in tiers.items() for name, server in found.items()}
        return named | {"gateway": self.system.gateway}


def run(plan: Plan) -> list[Check]:
    """Run overload, bulkheads and slow clients in turn on one system."""
    folder = plan.folder("overload")
    bodies = folder / "bodies.jsonl"
    lines = [json.dumps({"email_content": mail}) + "\n" for mail in corpus.sample(plan.corpus)]
    bodies.write_text("".join(lines))
    with Servers(folder) as servers:
        system = System(servers, plan.model)
        system.start(GATEWAY)
        servers.wait_ready()
        load = OverloadedSystem(system, bodies)
        checks = overload(load, plan.seconds)
        for part in (refusal, bulkheads, slow_clients):
            servers.check()
            say(part.__doc__ or "")
            checks += part(load)
        servers.check()
        return checks


def overload(load: OverloadedSystem, seconds: float) -> list[Check]:
    """Run peak and flood in turn."""
    memory = Memory()
    one_round(load, seconds / ROUNDS)
    memory.first = resident(load)
    rounds = []
    for n in range(ROUNDS):
        rounds.append(one := one_round(load, seconds / ROUNDS))
        say(
            f"round {n + 1}: peak {one.peak:,.0f}/s, flood {one.flood}: {one.share:.0f} %, back in {one.recovery:.2f} s"
        )
    memory.last = resident(load)
    return [*served(rounds), *refused(rounds), *kept(rounds, memory)]


def one_round(load: OverloadedSystem, seconds: float) -> Round:
    """Run a peak, a flood after it, and the recovery."""
    with flooding(load.url, Flood(load.bodies, "staging", PEAK_CONNECTIONS), 60):
        time.sleep(1)
        peak = counted(load.url, "staging", max(seconds / 2, 2)).rate("200")
    time.sleep(1)
    with flooding(load.url, overfull(load, peak), 600):
        until_refusing(load, "staging")
        flood, probes = asyncio.run(probed(load, seconds))
    return Round(peak, flood, probes, until_like_before(load, "staging"))


def overfull(load: OverloadedSystem, peak: float) -> Flood:
    """Return a flood with connections that fill the queue, and further ones that send again after their pause."""
    waiting = min(QUEUE_MAILS, QUEUE_SECONDS * peak)
    return Flood(load.bodies, "staging", round(waiting + OFFERED * peak * PAUSE_MS / 1000), PAUSE_MS)


def until_refusing(load: OverloadedSystem, environment: str) -> None:
    """Wait until the flood has opened its connections and filled the queue."""
    before = answers(load.url, environment).get("503", 0)
    give_up = time.monotonic() + 60
    while answers(load.url, environment).get("503", 0) < before + 1_000 and time.monotonic() < give_up:
        time.sleep(0.5)


async def probed(load: OverloadedSystem, seconds: float) -> tuple[Counted, Steady]:
    """Return the gateway's counts over so many seconds, and the results of our own client meanwhile."""
    async with steadily(load.url, "staging", load.contents, PROBES) as seen:
        found = await asyncio.to_thread(counted, load.url, "staging", seconds)
    return found, seen


def until_like_before(load: OverloadedSystem, environment: str) -> float:
    """Return the seconds until a single request is answered as on an idle system, at most 60."""
    started = time.monotonic()
    while time.monotonic() - started < 60:
        status, milliseconds = single(load, environment)
        if status == HTTPStatus.OK and milliseconds <= LIKE_BEFORE_MS:
            break
        time.sleep(0.01)
    return time.monotonic() - started


def single(load: OverloadedSystem, environment: str) -> tuple[int, float]:
    """Return status and milliseconds of one request on its own connection."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(load.url.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", "/api/v1/predict", load.contents[0], {"X-Environment": environment})
        answer = connection.getresponse()
        answer.read()
        return answer.status, 1000 * (time.monotonic() - started)
    except (OSError, http.client.HTTPException):
        return 0, 1000 * (time.monotonic() - started)
    finally:
        connection.close()


def resident(load: OverloadedSystem) -> dict[str, int]:
    """Return the memory of each process."""
    return {name: resident_bytes(server.pid) for name, server in load.servers.items()}


def refusal(load: OverloadedSystem, seconds: float = 4) -> list[Check]:
    """Measure the gateway's CPU for one refusal, with the other environment full and its transformer stopped."""
    transformer = load.system.transformers["production"]
    gateway = load.servers["gateway"]
    os.kill(transformer.pid, signal.SIGSTOP)
    try:
        sockets = fill(load, "production")
        with flooding(load.url, Flood(load.bodies, "production", PEAK_CONNECTIONS), 60):
            time.sleep(0.5)
            before = cpu.seconds([gateway.pid])
            found = counted(load.url, "production", seconds)
            used = cpu.seconds([gateway.pid]) - before
    finally:
        os.kill(transformer.pid, signal.SIGCONT)
    for sock in sockets:
        sock.close()
    until_like_before(load, "production")
    microseconds = 1e6 * used / max(found.statuses.get("503", 0), 1)
    return [at_most("overload: CPU of a refusal", microseconds, 100, "us", f"{found}")]


def fill(load: OverloadedSystem, environment: str) -> list[socket.socket]:
    """Fill an environment's queue with requests of many mails; return the connections, which must stay open."""
    content = json.dumps({"emails": ["See you at ten."] * 1_000})
    lines = ("POST /api/v1/batch-predict HTTP/1.1", "Host: gateway", f"X-Environment: {environment}")
    request = "\r\n".join([*lines, f"Content-Length: {len(content)}", "", content]).encode()
    sockets = [slow.opened(load.url, request) for _ in range(QUEUE_MAILS // 1_000)]
    while single(load, environment)[0] != HTTPStatus.SERVICE_UNAVAILABLE:
        time.sleep(0.01)
    return sockets


def bulkheads(load: OverloadedSystem, seconds: float = 15) -> list[Check]:
    """Flood one environment, with mail of the other beside it."""
    with flooding(load.url, Flood(load.bodies, "staging", PEAK_CONNECTIONS), 60):
        peak = counted(load.url, "staging", 3).rate("200")

    async def beside() -> tuple[Counted, Steady]:
        async with steadily(load.url, "production", load.contents, BULKHEAD_RATE) as seen:
            found = await asyncio.to_thread(counted, load.url, "staging", seconds)
        return found, seen

    with flooding(load.url, overfull(load, peak), 600):
        until_refusing(load, "staging")
        found, seen = asyncio.run(beside())
    until_like_before(load, "staging")
    note = f"{BULKHEAD_RATE}/s in production, {seen.told()}; staging {found}"
    return [
        at_most("bulkheads: failed beside the flood", seen.failed(200), 0, note=note),
        at_most("bulkheads: p99 beside the flood", seen.p99_ms(200), 250, "ms"),
        at_least("bulkheads: refused of the flood", found.statuses.get("503", 0), 1, "requests"),
    ]


def slow_clients(load: OverloadedSystem) -> list[Check]:
    """Run clients that send or read too slowly, and too many idle ones, beside ordinary mail."""
    kinds = {
        "heads": (slow.HEAD, b"a", SLOW_CLIENTS),
        "bodies": (slow.BODY, b" ", SLOW_CLIENTS),
        "unread answers": (slow.UNREAD, b"", UNREADING_CLIENTS),
    }

    async def beside() -> tuple[list[slow.Slow], int, Steady]:
        async with steadily(load.url, "production", load.contents, PROBES) as seen:
            found = await asyncio.to_thread(slow.run, load.url, kinds, 8 * SLOW_LIMIT)
            most = await asyncio.to_thread(slow.most_connections, load.url, IDLE_CONNECTIONS)
        return found, most, seen

    found, most, seen = asyncio.run(beside())
    until_like_before(load, "production")
    return [
        *(ended(one) for one in found),
        at_most(f"slow clients: open of {IDLE_CONNECTIONS:,} idle connections", most, MAX_CONNECTIONS),
        at_most("slow clients: ordinary requests that failed", seen.failed(200), 0, note=seen.told()),
        at_most("slow clients: p99 of ordinary requests", seen.p99_ms(200), 1000, "ms"),
    ]


def ended(one: slow.Slow) -> Check:
    """Check that all clients of a kind were ended in time."""
    name = f"slow clients: the last of {one.clients:,} slow {one.kind} ended"
    limit = SLOW_LIMIT + SLACK
    if len(one.seconds) < one.clients:
        return Check(name, f"<= {limit:g} s", f"{one.clients - len(one.seconds):,} not ended", False)
    return at_most(name, max(one.seconds), limit, "s")
