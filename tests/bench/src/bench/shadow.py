"""Cost of shadowing all mail, for production: `python -m bench.shadow`.

Two gateways stand before the same production pair, and one of them shadows to a staging pair. Both are loaded in turn
in short rounds. Each round with a shadow is compared with the adjacent round without one, by the gateway's own CPU and
by the time that clients wait.

Two processes of one program differ by some percent for as long as they run, because their memory is laid out
differently. So there are several such pairs, with new ones for each state. The machine's speed also changes by a
quarter from one round to the next. So the unit of CPU and time is the CPU that production's transformer and predictor
used for a mail in that round: their work is always the same.

Staging should be on another machine. Here it gets CPU only when nothing else wants it (SCHED_IDLE), but it still slows
its neighbours down. So it works as much in the rounds without a shadow, for mail that a third gateway sends it. Its
states are up, slow (stopped nine tenths of each second), hung (stopped) and dead. At full load little is shadowed,
because a gateway at its limit has nothing to spare; so there is also a load with pauses.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench import corpus, cpu, machine, systems, wrk
from bench.client import Client
from bench.run import say
from bench.servers import Server, Servers, ended_by_signals
from bench.shadow_states import STAGING, Pair, beside

CONNECTIONS = 64
STATES = ("up", "slow", "hung", "dead")
LOADS = ("paced", "full")
CPU_AT_MOST = 1.10
P99_AT_MOST = 1.05
ALIKE = {"PYTHONHASHSEED": "0"}
"""Environment of both gateways: processes with different hash seeds may differ in the time for the same work."""
OTHER_MAILS = 128
"""Mails of a batch, as many as the shadow sends at once."""


@dataclass(frozen=True)
class Round:
    """Figures of one load on one gateway: its own CPU in microseconds a mail, and the time that clients waited."""

    state: str
    load: str
    shadow: bool
    mails_per_s: float
    gateway_cpu_us_per_mail: float
    pair_cpu_us_per_mail: float
    """CPU of production's transformer and predictor in microseconds a mail, as a measure of the machine's speed."""
    p99_ms: float
    errors: int
    compared: float
    """Share of the mails that was compared; 0 without a shadow."""


def main() -> None:
    """Measure, print the ratios and write the rounds as JSON."""
    options = _options()
    wrk.require()
    out: Path = options.out
    with ended_by_signals():
        rounds = run(options, out.parent / "bench-shadow")
    found = ratios(rounds)
    report = {
        "ratios": found,
        "rounds": [asdict(each) for each in rounds],
        "machine": machine.machine(),
        "commit": machine.commit(),
    }
    out.write_text(json.dumps(report, indent=2) + "\n")
    say(f"\nshadow of all mail / none, {CONNECTIONS} connections, medians of {options.rounds} rounds each")
    for name, figures in found.items():
        say(verdict(name, figures))
    say(f"figures: {out}")


def run(options: argparse.Namespace, scratch: Path) -> list[Round]:
    """Run rounds for each state of staging and each load."""
    with Servers(scratch) as servers:
        model = options.model.resolve()
        production = systems.pair(servers, model, "production", "production")
        staging = systems.pair(servers, model, "staging", "staging")
        urls = {"production": production[-1].url, "staging": staging[-1].url}
        elsewhere = systems.gateway(servers, "elsewhere", {"staging": urls["staging"]}, {})
        say("waiting until ready")
        servers.wait_ready()
        for server in (*staging, elsewhere):
            os.sched_setscheduler(server.pid, os.SCHED_IDLE, os.sched_param(0))
        bodies = scratch / "bodies.jsonl"
        mails = corpus.sample(options.corpus)
        bodies.write_text("".join(json.dumps({"email_content": mail}) + "\n" for mail in mails))
        rounds = []
        other = Other(elsewhere, mails)
        for state in options.states:
            with Servers(scratch / state) as own:
                pairs = [both(own, urls, n) for n in range(options.processes)]
                own.wait_ready()
                use(pairs, bodies, options.warm_up)
                with STAGING[state](servers, staging):
                    use(pairs, bodies, options.warm_up)
                    for load in options.loads:
                        rounds += measure_pairs(pairs, production, other, bodies, state, load, options)
        return rounds


Gateways = tuple[Server, Server]
"""Gateway without a shadow, and gateway with one."""


def both(servers: Servers, urls: dict[str, str], n: int) -> Gateways:
    """Start two gateways that differ only in the shadow."""
    without, shadowing = (
        systems.gateway(
            servers, f"share-{share}-{n}", urls, {"SHADOW_SHARE": share, "DEFAULT_ENVIRONMENT": "production"} | ALIKE
        )
        for share in ("0", "1")
    )
    return without, shadowing


def use(pairs: Sequence[Gateways], bodies: Path, seconds: int) -> None:
    """Load each gateway for a while, so that neither new processes nor the beginning of a state is measured."""
    for gateways in pairs:
        for gateway in gateways:
            wrk.run(f"{gateway.url}/api/v1/predict", bodies, CONNECTIONS, seconds)


class Other:
    """Mail for staging that is not shadowed."""

    def __init__(self, gateway: Server, mails: Sequence[str]) -> None:
        self._gateway = gateway
        self._body = json.dumps({"emails": list(mails[:OTHER_MAILS])})

    def sent(self, mails_per_s: float) -> contextlib.AbstractContextManager[None]:
        """Send so many mails a second while the context is open."""
        return beside(lambda ended: self._send(OTHER_MAILS / max(mails_per_s, 1), ended))

    def _send(self, seconds: float, ended: threading.Event) -> None:
        due = time.monotonic() + seconds
        while not ended.wait(max(due - time.monotonic(), 0)):
            due += seconds
            client = Client(self._gateway.url)
            # A failed request does not matter: it is sent only for the work that it makes.
            with contextlib.suppress(OSError, RuntimeError, http.client.HTTPException):
                client.post("/api/v1/batch-predict", self._body)
            client.close()


def measure_pairs(
    pairs: Sequence[Gateways],
    behind: Pair,
    other: Other,
    bodies: Path,
    state: str,
    load: str,
    options: argparse.Namespace,
) -> list[Round]:
    """Measure one state and load, alternating without and with a shadow; which of the two is first changes."""
    delay_ms = options.delay_ms if load == "paced" else 0
    last: dict[int, Round] = {}
    rounds: list[Round] = []
    for n in range(options.rounds):
        for shadow in (1 - n % 2, n % 2):
            as_much = 0 if shadow else last[1].compared * last[1].mails_per_s
            with other.sent(as_much):
                gateway = pairs[n % len(pairs)][shadow]
                last[shadow] = measure(gateway, behind, bodies, state, load, shadow, options.seconds, delay_ms)
        rounds += [last[0], last[1]]
    return rounds


def measure(
    gateway: Server, behind: Pair, bodies: Path, state: str, load: str, shadow: int, seconds: int, delay_ms: int
) -> Round:
    """Measure one round of one gateway."""
    behind_pids = [server.pid for server in behind]
    compared_before = compared(gateway)
    cpu_before, behind_before = cpu.seconds([gateway.pid]), cpu.seconds(behind_pids)
    found = wrk.run(f"{gateway.url}/api/v1/predict", bodies, CONNECTIONS, seconds, delay_ms=delay_ms)
    mails = max(found.mails, 1)
    row = Round(
        state=state,
        load=load,
        shadow=bool(shadow),
        mails_per_s=found.mails / found.seconds,
        gateway_cpu_us_per_mail=1e6 * (cpu.seconds([gateway.pid]) - cpu_before) / mails,
        pair_cpu_us_per_mail=1e6 * (cpu.seconds(behind_pids) - behind_before) / mails,
        p99_ms=found.p99_ms,
        errors=found.errors,
        compared=(compared(gateway) - compared_before) / mails,
    )
    say(
        f"staging {state}, {load}, {'with' if shadow else 'without'} shadow: {row.mails_per_s:,.0f} mails/s,"
        f" gateway {row.gateway_cpu_us_per_mail:.1f} µs CPU/mail, behind it {row.pair_cpu_us_per_mail:.1f},"
        f" p99 {row.p99_ms:.1f} ms,"
        f" {row.compared:.0%} compared, {row.errors} errors"
    )
    return row


def compared(gateway: Server) -> float:
    """Return the number of shadowed mails that a gateway has compared so far."""
    client = Client(gateway.url)
    try:
        found = re.search(r'^gateway_shadow_mails_total\{outcome="compared"\} (\S+)$', client.get("/metrics"), re.M)
    finally:
        client.close()
    if found is None:
        raise SystemExit("the gateway counts no shadowed mails")
    return float(found[1])


def ratios(rounds: list[Round]) -> dict[str, dict[str, float]]:
    """Return the ratio with a shadow / without, by state and load: the median over adjacent rounds."""
    found: dict[str, list[tuple[Round, Round]]] = {}
    for without, with_shadow in zip(rounds[::2], rounds[1::2], strict=True):
        found.setdefault(f"{without.state}, {without.load}", []).append((without, with_shadow))
    return {
        name: {
            "gateway_cpu": _ratio(pairs, lambda one: one.gateway_cpu_us_per_mail),
            "p99": _ratio(pairs, lambda one: one.p99_ms),
            "compared": round(median(b.compared for _, b in pairs), 3),
            "errors": sum(b.errors for _, b in pairs),
        }
        for name, pairs in found.items()
    }


def _ratio(pairs: list[tuple[Round, Round]], figure: Callable[[Round], float]) -> float:
    """Return the median ratio of a figure, in units of the CPU that a mail took behind the gateway."""
    in_units = [(figure(a) / a.pair_cpu_us_per_mail, figure(b) / b.pair_cpu_us_per_mail) for a, b in pairs]
    return round(median(b / a for a, b in in_units), 3)


def verdict(name: str, figures: dict[str, float]) -> str:
    met = figures["gateway_cpu"] <= CPU_AT_MOST and figures["p99"] <= P99_AT_MOST and not figures["errors"]
    return (
        f"staging {name:12} gateway's CPU a mail {figures['gateway_cpu']:.3f} (at most {CPU_AT_MOST}), p99"
        f" {figures['p99']:.3f} (at most {P99_AT_MOST}), {figures['compared']:.0%} compared,"
        f" {figures['errors']:g} errors: {'met' if met else 'MISSED'}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.shadow", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a model bundle")
    parser.add_argument("--corpus", type=Path, required=True, help="folder whose folders hold mails, a file each")
    parser.add_argument(
        "--out", type=Path, required=True, help="JSON file to write; logs go to bench-shadow/ beside it"
    )
    parser.add_argument("--rounds", type=int, default=12, help="of each state and load, without and with (%(default)s)")
    parser.add_argument("--processes", type=int, default=4, help="of each gateway, in turn (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="of each round (%(default)s)")
    parser.add_argument(
        "--warm-up", type=int, default=3, help="seconds of each gateway before a state begins, and in it (%(default)s)"
    )
    parser.add_argument("--delay-ms", type=int, default=60, help="pause of each connection when paced (%(default)s)")
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=list(LOADS), help="to measure (all)")
    parser.add_argument("--states", nargs="+", choices=STATES, default=list(STATES), help="of staging (all)")
    options = parser.parse_args()
    # Sort by state, so that dead is last: dead processes do not come back.
    options.states = sorted(options.states, key=STATES.index)
    return options


if __name__ == "__main__":
    main()
