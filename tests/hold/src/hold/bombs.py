"""Bombs: large bodies of JSON that cost a parser much and their sender nothing, beside production's mail.

One client sends them as fast as they are answered, over a few connections. What the mail's p99 is beside it is compared
with what it is without, in rounds of which the median counts.
"""

import asyncio
import json
import statistics
from dataclasses import dataclass, field

from bench import corpus, cpu
from bench.servers import Servers
from hold.check import Check, at_least, at_most
from hold.part import Plan, say
from hold.path_floods import Target, wrk_of
from hold.steady import Steady, steadily
from hold.system import System

ROUNDS = 5
CONNECTIONS = 4
RATE = 100
"""Mails a second of the bystander."""
SHARE_OF_SECONDS = 1 / 20
"""Of the run's seconds, what each look at the bystander takes: 3 s of 60."""
MIB = 1024 * 1024
BYTES = 16 * MIB - 1024
"""Of each bomb; the API takes 16 MiB."""
PREDICT, BATCH = "/api/v1/predict", "/api/v1/batch-predict"

BOMBS: dict[str, tuple[str, bytes, bytes, bytes]] = {
    "surrogates": (PREDICT, b'{"email_content": "', b"\\ud800", b'"}'),
    "escapes": (PREDICT, b'{"email_content": "', b"\\u0041", b'"}'),
    "space": (PREDICT, b"", b" ", b'{"email_content": 1}'),
    "the same field": (PREDICT, b"{", b'"email_content": "",', b'"email_content": ""}'),
    "other fields": (PREDICT, b'{"email_content": "a"', b',"b": 1', b"}"),
    "empty mails": (BATCH, b'{"emails": [', b'"",', b'""]}'),
    "mails of surrogates": (BATCH, b'{"emails": ["', b"\\ud800" * 1000 + b'","', b'"]}'),
    "numbers": (BATCH, b'{"emails": [', b"1,", b"1]}"),
}
"""Path, head, what fills the body, and tail."""


@dataclass
class Seen:
    """Of one bomb: the bystander's p99 beside it over that without, what became of its mail, and the gateway's CPU."""

    ratios: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    answers: Steady = field(default_factory=Steady)
    sent: int = 0
    seconds: float = 0.0

    @property
    def milliseconds_a_mib(self) -> float:
        """CPU of the gateway, the mail beside the bombs included."""
        return 1000 * self.seconds / max(self.sent * BYTES / MIB, 1)


def run(plan: Plan) -> list[Check]:
    """Every bomb in turn, several rounds."""
    folder = plan.folder("bombs")
    bodies = [json.dumps({"email_content": mail}).encode() for mail in corpus.sample(plan.corpus)]
    targets = {}
    for name, (path, head, unit, tail) in BOMBS.items():
        file = folder / f"{name.replace(' ', '-')}.json"
        file.write_bytes(head + unit * ((BYTES - len(head) - len(tail)) // len(unit)) + tail)
        targets[name] = Target(name, 422, "POST", path, f"@{file}", ("X-Environment", "production"))
    with Servers(folder) as servers:
        system = System(servers, plan.model)
        system.start()
        servers.wait_ready()
        seen = _rounds(system, bodies, targets, plan.seconds * SHARE_OF_SECONDS)
        servers.check()
        return _judged(seen)


def _rounds(system: System, bodies: list[bytes], targets: dict[str, Target], seconds: float) -> dict[str, Seen]:
    assert system.gateway is not None
    pids = [system.gateway.pid]
    asyncio.run(_beside(system.url, bodies, 2))
    seen = {name: Seen() for name in targets}
    for n in range(ROUNDS):
        for name, target in targets.items():
            without = asyncio.run(_beside(system.url, bodies, seconds))
            before = cpu.seconds(pids)
            with wrk_of(system.url, target, CONNECTIONS, 600) as answered:
                beside = asyncio.run(_beside(system.url, bodies, seconds))
            found = seen[name]
            found.seconds += cpu.seconds(pids) - before
            found.ratios.append(beside.p99_ms(200) / without.p99_ms(200))
            found.beside.append(beside.p99_ms(200))
            found.answers.answers += beside.answers
            found.sent += answered[0]
            say(
                f"round {n + 1}: {name}: p99 {without.p99_ms(200):.1f} ms, beside {answered[0]:,} bombs"
                f" {beside.p99_ms(200):.1f} ms; {beside.told()}"
            )
    return seen


async def _beside(url: str, bodies: list[bytes], seconds: float) -> Steady:
    async with steadily(url, "production", bodies, RATE) as seen:
        await asyncio.sleep(seconds)
    return seen


def _judged(seen: dict[str, Seen]) -> list[Check]:
    checks = []
    for name, found in seen.items():
        note = f"median of {len(found.ratios)}; {statistics.median(found.beside):.1f} ms"
        checks.append(
            at_most(f"bombs: {name}: mail's p99 over that without", statistics.median(found.ratios), 2, "x", note)
        )
    failed = sum(found.answers.failed(200) for found in seen.values())
    mails = sum(len(found.answers.answers) for found in seen.values())
    worst = max(seen, key=lambda name: seen[name].milliseconds_a_mib)
    fewest = min(seen, key=lambda name: seen[name].sent)
    return [
        *checks,
        at_most("bombs: mails that failed beside them", failed, 0, note=f"of {mails:,}"),
        at_most("bombs: CPU of the gateway, mail included", seen[worst].milliseconds_a_mib, 20, "ms/MiB", worst),
        at_least("bombs: sent, of the fewest", seen[fewest].sent, 5, "bombs", fewest),
    ]
