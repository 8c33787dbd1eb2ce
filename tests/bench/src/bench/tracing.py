"""Cost of tracing within the same processes: `python -m bench.tracing`.

Two systems of the same kind differ by some percent, which is more than the effect to be measured. So one system is
loaded in short rounds. In every other round the requests have no traceparent. In the rest one in a hundred has, sixteen
in a row, as the gateway's own sampler would choose them. Each round without is compared with the adjacent round with
it.

This leaves out the cost for requests that are not sampled, a comparison and a count. The row "traced at 1 %" of `make
bench` includes it.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from bench import corpus, cpu, machine, systems, wrk
from bench.run import say
from bench.servers import Servers, ended_by_signals
from bench.systems import System

CONNECTIONS = 64
SHARE = 0.01
RUN = 16
"""Requests sampled in a row, as wrk.lua and the gateway do."""
AT_MOST = 1.03
LEAST_ROUNDS = 2


@dataclass(frozen=True)
class Round:
    """Figures of one load: the share of requests to be sampled, and the CPU of all servers in microseconds a mail."""

    share: float
    cpu_us_per_mail: float
    errors: int


def main() -> None:
    """Measure, print the ratio and write the rounds as JSON."""
    options = _options()
    wrk.require()
    out: Path = options.out
    with ended_by_signals():
        rounds = run(options, out.parent / "bench-tracing")
    ratio = overhead(rounds)
    report = {
        "cpu_ratio": round(ratio, 4),
        "rounds": [asdict(each) for each in rounds],
        "machine": machine.machine(),
        "commit": machine.commit(),
    }
    out.write_text(json.dumps(report, indent=2) + "\n")
    verdict = "met" if ratio <= AT_MOST else "MISSED"
    say(f"\nCPU a mail, {SHARE:.0%} traced / none: {ratio:.3f} (at most {AT_MOST}): {verdict}")
    say(f"figures: {out}")


def run(options: argparse.Namespace, scratch: Path) -> list[Round]:
    """Run rounds in turn, without traces first."""
    mails = corpus.sample(options.corpus)
    with Servers(scratch) as servers:
        tracing = systems.by_parents(systems.collector(servers))
        system = systems.ours(servers, options.model.resolve(), systems.TRACED, tracing=tracing)
        say(f"waiting until ready: {system.name}")
        servers.wait_ready()
        bodies = scratch / "bodies.jsonl"
        bodies.write_text("".join(f"{system.body(mail)}\n" for mail in mails))
        wrk.run(system.base + system.path, bodies, CONNECTIONS, options.warm_up, SHARE)
        shares = (0.0, SHARE) * options.rounds
        return [measure(system, bodies, options.seconds, share) for share in shares]


def measure(system: System, bodies: Path, seconds: int, share: float) -> Round:
    """Measure one round with a share of sampled requests."""
    pids = [server.pid for server in system.servers]
    before = cpu.seconds(pids)
    load = wrk.run(system.base + system.path, bodies, CONNECTIONS, seconds, share)
    if share and load.mails * share < RUN:
        raise SystemExit(
            f"{load.mails} mails in {seconds} s are too few for one run of {RUN} at {share:.0%}: a longer --seconds, or"
            " a machine that does nothing else"
        )
    found = Round(share, 1e6 * (cpu.seconds(pids) - before) / max(load.mails, 1), load.errors)
    say(f"{share:5.1%} traced: {found.cpu_us_per_mail:,.1f} µs CPU/mail, {load.mails:,} mails, {load.errors} errors")
    return found


def overhead(rounds: list[Round]) -> float:
    """Return the median ratio traced / not over all adjacent rounds.

    Each round is compared with the one before and the one after, so a slow drift affects both sides alike.
    """
    ratios = [
        second.cpu_us_per_mail / first.cpu_us_per_mail
        if second.share > first.share
        else first.cpu_us_per_mail / second.cpu_us_per_mail
        for first, second in pairwise(rounds)
    ]
    return median(ratios)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.tracing", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a model bundle")
    parser.add_argument("--corpus", type=Path, required=True, help="folder whose folders hold mails, a file each")
    parser.add_argument(
        "--out", type=Path, required=True, help="JSON file to write; logs go to bench-tracing/ beside it"
    )
    parser.add_argument("--rounds", type=int, default=40, help="of each of the two loads (%(default)s)")
    parser.add_argument("--seconds", type=int, default=2, help="of each round (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=5, help="seconds before the first round (%(default)s)")
    options = parser.parse_args()
    if options.rounds < LEAST_ROUNDS:
        parser.error(f"--rounds is {options.rounds}; at least {LEAST_ROUNDS}")
    return options


if __name__ == "__main__":
    main()
