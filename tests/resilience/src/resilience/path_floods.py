"""Path floods: floods of paths that need no mail or no key, beside production's mail.

Each path is flooded in turn with pauses. The mail's p99 beside the flood is divided by its p99 without, in rounds; the
median counts. A flood of `/ready` once took both environments down. So after it the time is taken until both answer.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench import corpus, wrk
from bench.servers import Servers
from resilience.beside import Beside, checks, look
from resilience.check import Check, at_least, at_most
from resilience.flood import NICENESS
from resilience.part import Plan, say
from resilience.steady import sender
from resilience.system import ENVIRONMENTS, System

SCRIPT = Path(__file__).with_name("path_flood.lua")
ROUNDS = 5
CONNECTIONS = 512
RECOVERY_CONNECTIONS, RECOVERY_SECONDS = 800, 5.0
SHARE_OF_SECONDS = 1 / 15
"""Share of the run's seconds for each look at the bystander: 4 s of 60."""
BEGINNING_SECONDS = 1.0
"""Seconds in which a flood opens its connections; they are judged apart from the rest of the flood."""
BEGINNING_MS = 250
"""Most milliseconds that mail may take during that time."""
LIKE_BEFORE_MS = 100
"""Milliseconds within which an idle system answers."""
PREDICT = "/api/v1/predict"
BODY = '{"email_content": "See you at ten."}'
KEYS = {"bystander": ["staging", "production"], "barred": ["staging"]}
"""Environments that a key may use, by the name of the key, which is the key itself here."""


@dataclass(frozen=True)
class Target:
    """Request that is repeated, and its expected answer."""

    name: str
    status: int
    method: str
    target: str
    body: str = ""
    headers: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """Return the arguments of the script."""
        return [self.method, self.target, self.body, *self.headers]


PATHS = (
    Target("ready", 200, "GET", "/ready"),
    Target("metrics", 200, "GET", "/metrics"),
    Target("openapi", 200, "GET", "/openapi.json"),
    Target("docs", 200, "GET", "/docs"),
    Target("page", 200, "GET", "/"),
    Target("explain", 200, "POST", "/api/v1/explain", BODY, ("X-API-Key", "bystander")),
    Target("401", 401, "POST", PREDICT, BODY),
    Target("403", 403, "POST", PREDICT, BODY, ("X-API-Key", "barred", "X-Environment", "production")),
    Target("400", 400, "POST", PREDICT, BODY, ("X-API-Key", "bystander", "X-Environment", "nowhere")),
    Target("404", 404, "GET", "/nowhere"),
    Target("405", 405, "GET", PREDICT),
)


@dataclass
class Seen(Beside):
    """Mail beside a flood of one path."""

    beginning: list[float] = field(default_factory=list)
    """Bystander's p99 while the flood begins."""
    flooded: int = 0


def run(plan: Plan) -> list[Check]:
    """Run several rounds of every path in turn, then the recovery from a flood of /ready."""
    folder = plan.folder("floods")
    bodies = [json.dumps({"email_content": mail}).encode() for mail in corpus.sample(plan.corpus)]
    with Servers(folder) as servers:
        system = System(servers, plan.model)
        system.start({"API_KEYS_FILE": str(_keys(folder))})
        servers.wait_ready()
        with wrk_of(system.url, PATHS[0], CONNECTIONS, 60):
            look(system.url, bodies, 2, "bystander")
        seen = _rounds(system.url, bodies, plan.seconds * SHARE_OF_SECONDS)
        servers.check()
        found = [*_judged(seen), *_recovered(system.url, bodies)]
        servers.check()
        return found


def _rounds(url: str, bodies: list[bytes], seconds: float) -> dict[str, Seen]:
    seen = {path.name: Seen() for path in PATHS}
    for n in range(ROUNDS):
        for path in PATHS:
            without = look(url, bodies, seconds, "bystander")
            with wrk_of(url, path, CONNECTIONS, 600) as answered:
                beginning = look(url, bodies, BEGINNING_SECONDS, "bystander")
                beside = look(url, bodies, seconds, "bystander")
            found = seen[path.name]
            found.note(without, beside)
            found.beginning.append(beginning.p99_ms(200))
            found.answers.answers += beginning.answers
            found.flooded += answered[0]
            say(
                f"round {n + 1}: {path.name}: p99 {without.p99_ms(200):.1f} ms, beside {answered[0]:,} requests of the"
                f" flood {beside.p99_ms(200):.1f} ms, as it began {beginning.p99_ms(200):.1f} ms; {beside.told()}"
            )
    return seen


def _judged(seen: dict[str, Seen]) -> list[Check]:
    least = min(seen, key=lambda name: seen[name].flooded)
    worst = max(seen, key=lambda name: statistics.median(seen[name].beginning))
    beginning = statistics.median(seen[worst].beginning)
    return [
        *checks("floods", seen),
        at_most("floods: mail's p99 while a flood begins", beginning, BEGINNING_MS, "ms", f"{worst}, the worst"),
        at_least("floods: requests of the smallest flood", seen[least].flooded, 1_000, note=least),
    ]


def _recovered(url: str, bodies: list[bytes]) -> list[Check]:
    """Check how long after a flood of /ready both environments answer mail as before and /ready says so."""
    with wrk_of(url, PATHS[0], RECOVERY_CONNECTIONS, 60) as answered:
        during = look(url, bodies, RECOVERY_SECONDS, "bystander")
    seconds, state = asyncio.run(_until_like_before(url, bodies))
    note = f"after {answered[0]:,} requests in {RECOVERY_SECONDS:g} s; mail meanwhile {during.told()}"
    wrong = sum(state.get(name) != "ready" for name in ENVIRONMENTS)
    return [
        at_most("floods: recovery from /ready", seconds, 2, "s", note),
        at_most("floods: environments that /ready is wrong about", wrong, 0),
    ]


async def _until_like_before(url: str, bodies: list[bytes]) -> tuple[float, dict[str, str]]:
    """Return the seconds (at most 60) until both environments answer as on an idle system, and what /ready says."""
    started = time.monotonic()
    state: dict[str, str] = {}
    async with contextlib.AsyncExitStack() as stack:
        each = [await stack.enter_async_context(sender(url, name, bodies, "bystander")) for name in ENVIRONMENTS]
        http = await stack.enter_async_context(aiohttp.ClientSession())
        while time.monotonic() - started < 60:
            statuses = [await one.send() for one in each]
            async with http.get(f"{url}/ready") as response:
                state = (await response.json())["environments"]
            quick = all(one.seen.answers[-1][1] <= LIKE_BEFORE_MS for one in each)
            if quick and set(statuses) == {200} and set(state.values()) == {"ready"}:
                break
            await asyncio.sleep(0.05)
    return time.monotonic() - started, state


@contextlib.contextmanager
def wrk_of(url: str, path: Target, connections: int, seconds: float) -> Iterator[list[int]]:
    """Flood a path for so many seconds at most; afterwards the list has the number of answers that wrk has counted."""
    options = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds:.0f}s"]
    command = [wrk.require(), *options, "--timeout", "30s", "--script", str(SCRIPT), url, "--", *path.arguments]
    process = subprocess.Popen(["nice", "-n", str(NICENESS), *command], stdout=subprocess.PIPE, text=True)
    found = [0]
    try:
        yield found
        if process.poll() is not None:
            raise RuntimeError(f"wrk ended early, with status {process.returncode}")
        # On SIGINT wrk prints its summary and ends, as at the end of its time.
        process.send_signal(2)
        out, _ = process.communicate(timeout=30)
        found[0] = json.loads(out.splitlines()[-1])["requests"]
    finally:
        process.kill()
        process.wait()


def _keys(folder: Path) -> Path:
    file = folder / "keys.json"
    entries = [
        {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "environments": environments}
        for name, environments in KEYS.items()
    ]
    file.write_text(json.dumps({"keys": entries}))
    os.chmod(file, 0o600)
    return file
