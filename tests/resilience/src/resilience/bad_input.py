"""Bad input: requests of every shape that the API's description allows or forbids, hostile mail, hostile heads.

Findings go to the part's folder: schemathesis's reports, and each mail that broke the features library.
"""

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.servers import Servers
from corpus import find_mails, read_mail
from corpus.hostile import FAMILIES
from resilience import described, hostile_load, hostile_sockets
from resilience.check import Check, at_least, at_most
from resilience.part import Plan, say
from resilience.system import System

MAIL_CHARACTERS = 1 << 20
MAIL_CPU_SECONDS = 0.5
"""Most CPU seconds for one hostile mail of 1 MiB."""
GROWTH = 3.0
"""Largest growth of CPU time from half a mail to a whole one: linear is 2, quadratic 4, below `NOISE_SECONDS` noise."""
NOISE_SECONDS = 0.02
FUZZ_MARGIN_SECONDS = 300
BYSTANDER_SECONDS = 1.0


def run(plan: Plan) -> list[Check]:
    """Run all checks, with the fuzzer last because it takes longest."""
    folder = plan.folder("input")
    checks = families()
    with Servers(folder / "logs") as servers:
        system = System(servers, plan.model)
        system.start()
        servers.wait_ready()
        checks += _described(system, plan, folder)
        checks += asyncio.run(_load(system, plan))
        checks += hostile_sockets.run(system)
    return [*checks, *fuzz(plan, folder)]


def families() -> list[Check]:
    """Check CPU time and its growth for each hostile family, with the features library in this process."""
    costs = {
        name: (_cost(family(MAIL_CHARACTERS // 2)), _cost(family(MAIL_CHARACTERS))) for name, family in FAMILIES.items()
    }
    slowest = max(costs, key=lambda name: costs[name][1])
    growing = {name: whole / half for name, (half, whole) in costs.items() if whole > NOISE_SECONDS}
    steepest = max(growing, key=lambda name: growing[name], default="")
    say(f"input: {len(FAMILIES)} families of hostile mail, slowest '{slowest}' {costs[slowest][1]:.3f} s of CPU")
    return [
        at_most("input: CPU of a hostile mail of 1 MiB", costs[slowest][1], MAIL_CPU_SECONDS, "s", slowest),
        at_most(
            "input: its growth when a mail doubles",
            growing.get(steepest, 0.0),
            GROWTH,
            "",
            steepest or "all too fast to tell",
        ),
    ]


def _cost(mail: str) -> float:
    """Return the least CPU time of three runs, in seconds; a wrong result ends the program."""
    # Import late: where the library is instrumented, fuzz.py must be the first to import it.
    import features

    best = math.inf
    for _ in range(3):
        started = time.process_time()
        found = features.extract(mail)
        best = min(best, time.process_time() - started)
        assert len(found.values) == len(features.NAMES) and all(map(math.isfinite, found.values))
    return best


def _described(system: System, plan: Plan, folder: Path) -> list[Check]:
    found = described.run(system.url, plan.cases, folder)
    failures = sum(found.failures.values()) + found.errors
    note = ", ".join(f"{name} {count}" for name, count in found.failures.items()) or f"reports in {folder}"
    return [
        at_least("input: cases of schemathesis", found.cases, plan.cases),
        at_most("input: 5xx, and answers that the description does not have", failures, 0, "", note),
    ]


async def _load(system: System, plan: Plan) -> list[Check]:
    found = await hostile_load.run(system, _ordinary(plan.corpus))
    wrong = "; ".join(found.wrong[:3])
    p99 = found.bystanders_p99
    return [
        at_most(
            "input: hostile mails not answered 200 within the deadline",
            len(found.wrong),
            0,
            "",
            wrong or f"{found.hostile} sent",
        ),
        at_most(
            "input: bystanders' p99 beside hostile mail", p99, BYSTANDER_SECONDS, "s", f"{len(found.seconds)} mails"
        ),
        at_most("input: bystanders that failed", found.failed, 0),
    ]


def _ordinary(corpus: Path) -> Sequence[str]:
    mails = find_mails(corpus, at_least=1)
    return [read_mail(mail).decode("latin-1") for mail in mails[:: max(1, len(mails) // 200)]]


def fuzz(plan: Plan, folder: Path) -> list[Check]:
    """Fuzz the features library in its own process."""
    out = folder / "fuzz"
    seconds = max(1, round(plan.fuzz_minutes * 60))
    say(f"input: atheris on the features library for {plan.fuzz_minutes:g} minutes")
    options = [f"--corpus={plan.corpus}", f"--out={out}", f"--seconds={seconds}"]
    command = [sys.executable, "-m", "resilience.fuzz", *options]
    log = folder / "fuzz.log"
    with log.open("wb") as output:
        status = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, timeout=seconds + FUZZ_MARGIN_SECONDS, check=False
        ).returncode
    runs = _runs(log)
    found = [file for kind in ("crash", "timeout", "oom") for file in out.glob(f"{kind}-*")]
    again = f"python -m resilience.fuzz --out {out} --again {found[0]}" if found else f"{runs:,} mails, log {log}"
    return [
        at_most("input: mails found by fuzzing that break the features library", len(found), 0, "", again),
        Check("input: the fuzzer ran to its end", "exit status 0", f"exit status {status}", status == 0 and runs > 0),
    ]


def _runs(log: Path) -> int:
    """Return the number of mails tried, from libFuzzer's last figures."""
    lines = log.read_text(errors="replace").splitlines()
    counted = [line.rpartition(":")[2] for line in lines if line.startswith("stat::number_of_executed_units:")]
    return int(counted[-1]) if counted else 0
