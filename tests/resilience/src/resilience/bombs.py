"""Bombs: large JSON bodies that are costly to parse and free to send, beside production's mail.

One client sends them over a few connections as fast as they are answered. The mail's p99 beside them is compared with
its p99 without, in rounds; the median counts.
"""

import json
from dataclasses import dataclass

from bench import corpus, cpu
from bench.servers import Servers
from resilience.beside import Beside, checks, look
from resilience.check import Check, at_least, at_most
from resilience.part import Plan, say
from resilience.path_floods import Target, wrk_of
from resilience.system import System

ROUNDS = 5
CONNECTIONS = 4
SHARE_OF_SECONDS = 1 / 20
"""Share of the run's seconds for each look at the bystander: 3 s of 60."""
MIB = 1024 * 1024
BYTES = 16 * MIB - 1024
"""Bytes of each bomb; the API accepts 16 MiB."""
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
"""Path, head, filler of the body, and tail, by name."""


@dataclass
class Seen(Beside):
    """Mail beside one bomb, and the gateway's CPU."""

    sent: int = 0
    seconds: float = 0.0

    @property
    def milliseconds_a_mib(self) -> float:
        """Return the gateway's CPU in milliseconds a MiB, including the mail beside the bombs."""
        return 1000 * self.seconds / max(self.sent * BYTES / MIB, 1)


def run(plan: Plan) -> list[Check]:
    """Run several rounds of every bomb in turn."""
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
    look(system.url, bodies, 2)
    seen = {name: Seen() for name in targets}
    for n in range(ROUNDS):
        for name, target in targets.items():
            without = look(system.url, bodies, seconds)
            before = cpu.seconds(pids)
            with wrk_of(system.url, target, CONNECTIONS, 600) as answered:
                beside = look(system.url, bodies, seconds)
            found = seen[name]
            found.seconds += cpu.seconds(pids) - before
            found.note(without, beside)
            found.sent += answered[0]
            say(
                f"round {n + 1}: {name}: p99 {without.p99_ms(200):.1f} ms, beside {answered[0]:,} bombs"
                f" {beside.p99_ms(200):.1f} ms; {beside.told()}"
            )
    return seen


def _judged(seen: dict[str, Seen]) -> list[Check]:
    worst = max(seen, key=lambda name: seen[name].milliseconds_a_mib)
    fewest = min(seen, key=lambda name: seen[name].sent)
    return [
        *checks("bombs", seen),
        at_most("bombs: CPU of the gateway, mail included", seen[worst].milliseconds_a_mib, 20, "ms/MiB", worst),
        at_least("bombs: sent, of the fewest", seen[fewest].sent, 5, "bombs", fewest),
    ]
