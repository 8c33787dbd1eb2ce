"""Soak: real mail at 60 % of the peak for a long time, while processes are killed, stopped and restarted at random.

The real processes of both environments run, two replicas of each tier, behind our own name server, with the inference
log on. Clients send single mails and batches to both environments. They keep their connections or do not, name their
requests or do not, and leave during some. The right answer for each mail is known from the model in this process.
`soak_rules` says which failures faults explain, and `soak_rows` what the log must hold.

The schedule of faults and the clients' choices come from a seed, which is printed: a bad run can be repeated.
"""

import asyncio
import contextlib
import gc
import json
import random
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from bench.servers import Servers
from resilience import soak_rows
from resilience.check import Check, at_least, at_most
from resilience.flood import metrics
from resilience.part import Plan, say
from resilience.soak_answers import Ledger, Truth
from resilience.soak_clients import Clients, sessions
from resilience.soak_fleet import FLUSH_SECONDS, Fleet
from resilience.soak_growth import Growth, Looks
from resilience.soak_rows import Compared, LogComparison
from resilience.soak_rules import DEADLINE_SECONDS, Failed, explained, met_fault
from resilience.soak_schedule import QUIET_SECONDS, Fault, schedule

SHARE = 0.6
"""Share of the peak, which is measured just before."""
LEAST_SHARE = 0.85
"""Least share of the planned mail that must be sent. Arrivals are random, and hanging gateways may hold some back."""
LEAST_FAULTS = 0.8
"""Least share of the scheduled faults that must happen; a process that already has one is spared another."""
PEAK_SECONDS = 9.0
LATE_SECONDS = 1.0
"""Seconds beyond the deadline, for the way to the client on a busy machine."""
GROWTH_MINUTES = 5.0
"""Shortest soak in minutes for which growth is judged; before that, processes are not warm."""
MEMORY_PERCENT = 20.0
"""Largest growth of a process's memory in percent. In 15 minutes, 100 bytes kept for each request exceed it."""
MORE_FILES, MORE_THREADS = 30, 4
"""Largest growth of open files and threads: connections vary with the load, and thread pools fill up."""
SETTLE_SECONDS = 10.0
"""Longest time in seconds after the last answer until a gateway has no mail queued or in progress."""
SHOWN = 3
"""Findings of a kind that are printed in full."""
NOTED = 200
"""Characters of the first finding that go into the table."""


@dataclass
class Run:
    """Record of a soak."""

    fleet: Fleet
    ledger: Ledger
    looks: Looks
    documented: set[tuple[str, int]]
    faults: Sequence[Fault]
    peak: float = 0.0
    start: float = 0.0
    end: float = 0.0
    sent: int = 0
    """Number of mails sent between start and end."""
    answered: int = 0
    """Number of mails answered between start and end."""
    stuck: float = 0.0
    """Number of mails that the gateways still hold at the end although no client waits."""

    def unexplained(self) -> list[Failed]:
        """Return the failures that no fault explains."""
        return [each for each in self.ledger.failed if not explained(each, self.fleet.outages)]


def run(plan: Plan) -> list[Check]:
    """Send real mail at 60 % of the peak beside random faults, and return the checks."""
    folder = plan.folder("soak")
    say(f"soak: {plan.soak_minutes:g} minutes, seed {plan.seed}; --seed {plan.seed} repeats its faults")
    truth = Truth.of(plan.model, plan.corpus)
    # A million records exist at the end, and none of them is garbage.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    with Servers(folder / "logs") as servers:
        fleet = Fleet(servers, plan.model, folder)
        done = asyncio.run(_run(fleet, truth, plan.seed, 60 * plan.soak_minutes))
    done.looks.write(folder / "sizes.json")
    lines = (f"{each.end - done.start:.1f} s: {each}\n" for each in done.unexplained())
    (folder / "unexplained.txt").write_text("".join(lines))
    compared = LogComparison(done.ledger, fleet.outages, truth.scores, FLUSH_SECONDS).of_log(fleet.log_uri)
    return [*answers(done), *failures(done), *processes(done), *rows(done, compared)]


async def _run(fleet: Fleet, truth: Truth, seed: int, seconds: float) -> Run:
    await fleet.start()
    async with sessions() as opened:
        clients = Clients(fleet.gateway_urls, fleet.open_gateways, truth, random.Random(f"clients {seed}"), opened)
        documented = await _documented(opened.kept, fleet.gateway_urls[0])
        done = Run(fleet, clients.ledger, Looks(), documented, schedule(seed, seconds))
        async with _beside(fleet.watch()):
            done.peak = await clients.peak(PEAK_SECONDS)
            say(f"soak: peak {done.peak:,.0f} mails/s; {len(done.faults)} faults to come")
            await _soak(done, clients, seconds)
        done.stuck = await _stuck(fleet)
    await fleet.stop()
    return done


async def _soak(done: Run, clients: Clients, seconds: float) -> None:
    """Send mail while the schedule runs, and until everything is up again."""
    ledger, done.start = done.ledger, time.monotonic()
    sent, answered = ledger.sent, ledger.mails
    async with (
        _beside(done.looks.watch(lambda: {str(each): server.pid for each, server in done.fleet.running.items()})),
        _beside(clients.steadily(SHARE * done.peak)),
    ):
        await _happen(done.fleet, done.faults, done.start)
        await asyncio.sleep(max(QUIET_SECONDS, done.start + seconds - time.monotonic()))
        done.end = time.monotonic()
        done.sent, done.answered = ledger.sent - sent, ledger.mails - answered


async def _happen(fleet: Fleet, faults: Sequence[Fault], start: float) -> None:
    async with asyncio.TaskGroup() as group:
        for fault in faults:
            await asyncio.sleep(max(0.0, start + fault.at - time.monotonic()))
            group.create_task(fleet.apply(fault))


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a task while the context is open; its error is raised at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _documented(session: aiohttp.ClientSession, url: str) -> set[tuple[str, int]]:
    """Return path and status of every answer that the API's description lists for POST requests."""
    async with session.get(f"{url}/openapi.json") as response:
        paths = json.loads(await response.read())["paths"]
    return {
        (path, int(status))
        for path, operations in paths.items()
        for status in operations.get("post", {}).get("responses", {})
    }


async def _stuck(fleet: Fleet) -> float:
    """Return how many mails the gateways hold once all answers are out."""
    give_up = time.monotonic() + SETTLE_SECONDS
    while (held := await asyncio.to_thread(_held, fleet)) and time.monotonic() < give_up:
        await asyncio.sleep(0.2)
    return held


def _held(fleet: Fleet) -> float:
    """Return how many mails are queued or under way; infinitely many if a gateway does not say it."""
    names = ("gateway_queued_mails{", "gateway_mails_in_flight{")
    try:
        lines = [line for url in fleet.gateway_urls for line in metrics(url).splitlines()]
    except OSError:
        return float("inf")
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(names))


def answers(done: Run) -> list[Check]:
    """Check how much was sent, and whether the answers were right."""
    ledger = done.ledger
    answered = sum(n for (_, status), n in ledger.statuses.items() if status == 200)
    undocumented = {key: n for key, n in ledger.statuses.items() if key not in done.documented}
    seconds = done.end - done.start
    share = 100 * done.sent / seconds / done.peak
    note = f"peak {done.peak:,.0f}/s; {100 * done.answered / max(done.sent, 1):.1f} % answered, in {seconds:,.0f} s"
    statuses = ", ".join(f"{status}: {n:,}" for status, n in sorted(_by_status(ledger).items()))
    return [
        at_least("soak: mail sent", share, 100 * SHARE * LEAST_SHARE, "% of peak", note),
        _none("soak: wrong answers", ledger.wrong, f"of {answered:,} answers to {ledger.mails:,} mails"),
        _none("soak: undocumented statuses", [f"{key}: {n}" for key, n in undocumented.items()], statuses),
        _none("soak: errors that are no problem details", ledger.malformed),
    ]


def _by_status(ledger: Ledger) -> dict[int, int]:
    found: dict[int, int] = {}
    for (_, status), n in ledger.statuses.items():
        found[status] = found.get(status, 0) + n
    return found


def failures(done: Run) -> list[Check]:
    """Check that faults explain all failures."""
    failed, outages = done.ledger.failed, done.fleet.outages
    bad = done.unexplained()
    lost = [str(each) for each in bad if not each.status]
    errors = [str(each) for each in bad if each.status]
    n_lost = sum(not each.status for each in failed) - len(lost)
    kinds = ", ".join(f"{kind} {sum(each.kind == kind for each in outages)}" for kind in ("kill -9", "hang", "SIGTERM"))
    return [
        _none("soak: connections lost to what was not killed", lost, f"{n_lost:,} to gateways that were"),
        _none("soak: errors that no fault explains", errors, f"{len(failed) - len(bad) - n_lost:,} explained"),
        at_most("soak: longest request beside no hung gateway", _longest(done), DEADLINE_SECONDS + LATE_SECONDS, "s"),
        at_least(
            "soak: faults",
            len(outages),
            LEAST_FAULTS * len(done.faults),
            note=f"{kinds}; {done.fleet.skipped} left out",
        ),
    ]


def _longest(done: Run) -> float:
    """Return the seconds of the longest request whose own gateway had no fault."""
    lives = [(start, end, gateway) for start, end, gateway, _ in done.ledger.answered.values()]
    lives += [(each.start, each.end, each.gateway) for each in done.ledger.failed]
    slow = sorted(lives, key=lambda life: life[0] - life[1])
    outages = done.fleet.outages
    beside = (end - start for start, end, gateway in slow if not met_fault(start, end, "-", gateway, outages))
    return next(beside, 0.0)


def processes(done: Run) -> list[Check]:
    """Check that processes lived, and how much they grew."""
    died = done.fleet.died
    grown = done.looks.growth(done.start, done.end)
    names = ", ".join(each.name for each in grown)
    checks = [
        _none("soak: processes that ended by themselves or not as told", died),
        at_most("soak: mails that gateways hold after the last answer", done.stuck, 0),
        at_least("soak: processes that lived for two thirds", len(grown), 3, note=names),
    ]
    if not grown or done.end - done.start < 60 * GROWTH_MINUTES:
        say(f"soak: growth is not judged in less than {GROWTH_MINUTES:g} minutes")
        return checks
    return checks + growth(grown)


def growth(grown: Sequence[Growth]) -> list[Check]:
    """Check the growth of the processes that lived for long."""
    memory = max(grown, key=lambda each: each.memory_percent)
    files = max(grown, key=lambda each: each.last.files - each.first.files)
    threads = max(grown, key=lambda each: each.last.threads - each.first.threads)
    mib = f"{memory.name}, {memory.first.memory / 2**20:.0f} to {memory.last.memory / 2**20:.0f} MiB"
    more_files, had_files = files.last.files - files.first.files, f"{files.name}, {files.first.files:g} before"
    more_threads = threads.last.threads - threads.first.threads
    had_threads = f"{threads.name}, {threads.first.threads:g} before"
    return [
        at_most("soak: growth of memory", memory.memory_percent, MEMORY_PERCENT, "%", mib),
        at_most("soak: more open files", more_files, MORE_FILES, note=had_files),
        at_most("soak: more threads", more_threads, MORE_THREADS, note=had_threads),
    ]


def rows(done: Run, compared: Compared) -> list[Check]:
    """Check that the log's rows equal the answers."""
    most = max(compared.lost.values(), default=0)
    limit = (FLUSH_SECONDS + soak_rows.SLACK_SECONDS) * SHARE * done.peak
    lost = f"{sum(compared.lost.values()):,} of {len(compared.lost)} kills"
    copies = f"{compared.copies:,} explained"
    return [
        _none("soak: answered mails without a row", compared.missing, f"{compared.rows:,} rows"),
        at_most("soak: rows lost by one killed transformer", most, round(limit), note=f"one flush; {lost}"),
        _none("soak: rows beyond one a mail that no fault explains", compared.unexplained, copies),
        _none("soak: rows of mails that nobody sent", compared.foreign, f"{compared.unanswered:,} of unanswered mails"),
        _none("soak: files of the log that cannot be read", compared.unreadable),
    ]


def _none(name: str, found: Sequence[str], note: str = "") -> Check:
    """Return a check that nothing was found; the note shows the first finding."""
    for each in found[:SHOWN]:
        say(f"{name}: {each}")
    first = f"; {' '.join(found[0].split())[:NOTED]}" if found else ""
    return at_most(name, len(found), 0, note=f"{note}{first}".removeprefix("; "))
