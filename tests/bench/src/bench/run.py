"""Benchmark run: start every system, check that all give the same answers, then measure them in turn."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from bench import corpus, cpu, inprocess, systems, wrk
from bench.client import Client
from bench.figures import BATCH_1000, IN_PROCESS, Row
from bench.servers import Servers
from bench.systems import MLSERVER, OURS, System

CONNECTIONS = (1, 64)
BATCHES = (1, 32)
WHOLE_BATCH = 1000
TOLERANCE = 1e-5
"""Largest difference of a probability: between our services features travel in single precision."""


@dataclass(frozen=True)
class Plan:
    """Systems and loads to measure, and the seconds of warm-up and measurement for each."""

    model: Path
    corpus: Path
    scratch: Path
    names: frozenset[str]
    rounds: int
    seconds: int
    warm_up: int


def run(plan: Plan) -> list[list[Row]]:
    """Run the plan and return the rows of each round."""
    mails = corpus.sample(plan.corpus)
    size = sum(len(mail.encode()) for mail in mails) / len(mails)
    say(f"{len(mails)} mails from {plan.corpus}, {size:,.0f} bytes in the mean")
    with Servers(plan.scratch) as servers:
        started = start(servers, plan)
        try:
            check_agreement(started, plan, mails)
            return [measure_round(number, plan, started, mails) for number in range(1, plan.rounds + 1)]
        except Exception:
            servers.check()
            say(servers.tails())
            raise


def start(servers: Servers, plan: Plan) -> list[System]:
    """Start the systems of the plan all at once, and return them when they are ready."""
    makers: dict[str, Callable[[], System]] = {
        systems.OURS: lambda: systems.ours(servers, plan.model),
        systems.LOGGING: lambda: systems.ours(
            servers, plan.model, systems.LOGGING, inference_log=str((plan.scratch / "inference-log").absolute())
        ),
        systems.TRACED: lambda: systems.ours(
            servers, plan.model, systems.TRACED, tracing=systems.at_one_percent(systems.collector(servers))
        ),
        systems.UNCOALESCED: lambda: systems.ours(servers, plan.model, systems.UNCOALESCED, coalescing=False),
        systems.MLSERVER: lambda: systems.mlserver(servers, plan.model),
        systems.KSERVE: lambda: systems.kserve(servers, plan.model),
    }
    started = [make() for name, make in makers.items() if name in plan.names]
    say(f"waiting until ready: {', '.join(system.name for system in started)}")
    servers.wait_ready()
    return started


def check_agreement(started: list[System], plan: Plan, mails: list[str]) -> None:
    """End the run unless every system gives each mail the probability that it gets in process."""
    expected = inprocess.probabilities(plan.model, _mails_file(plan, mails))
    for system in started:
        answers = [system.probability(answer) for answer in _answers(system, mails)]
        worst = max(abs(answer - known) for answer, known in zip(answers, expected, strict=True))
        if worst > TOLERANCE:
            raise SystemExit(f"{system.name} does not do the same work: a probability is {worst:.2g} off")
        say(f"{system.name}: {len(mails)} answers as in process, at most {worst:.1g} off")


def measure_round(number: int, plan: Plan, started: list[System], mails: list[str]) -> list[Row]:
    """Measure every system once at each load, in an order that rotates from round to round."""
    rows = []
    for connections, system in itertools.product(CONNECTIONS, started if number % 2 else started[::-1]):
        rows.append(_told(number, plan, measure(system, plan, mails, connections)))
        if system.name == OURS and connections == 1:
            rows.append(_told(number, plan, measure_whole_batches(system, plan, mails)))
    for batch in BATCHES:
        rows.append(_told(number, plan, measure_in_process(plan, mails, batch)))
    return rows


def measure(system: System, plan: Plan, mails: list[str], connections: int) -> Row:
    """Measure one system under load from wrk."""
    bodies = plan.scratch / "bodies.jsonl"
    bodies.write_text("".join(f"{system.body(mail)}\n" for mail in mails))
    pids = [server.pid for server in system.servers]
    wrk.run(system.base + system.path, bodies, connections, plan.warm_up)
    batched, cpu_before = system.counted(), cpu.seconds(pids)
    load = wrk.run(system.base + system.path, bodies, connections, plan.seconds)
    cpu_used = cpu.seconds(pids) - cpu_before
    per_batch = _per_batch(batched, system.counted())
    if system.name == MLSERVER and connections > 1 and (per_batch or 0) < 2:
        raise SystemExit(f"{MLSERVER} put {per_batch} mails in a batch: its adaptive batching is not at work")
    return Row(
        name=system.name,
        hops=system.hops,
        connections=connections,
        mails_per_s=load.mails / load.seconds,
        cpu_us_per_mail=1e6 * cpu_used / max(load.mails, 1),
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        errors=load.errors,
        mails_per_batch=per_batch,
    )


def measure_whole_batches(system: System, plan: Plan, mails: list[str]) -> Row:
    """Measure batches of 1,000 mails, one after the other, through the batch endpoint."""
    body = json.dumps({"emails": list(itertools.islice(itertools.cycle(mails), WHOLE_BATCH))})
    client = Client(system.base)
    client.post("/api/v1/batch-predict", body)
    pids = [server.pid for server in system.servers]
    taken: list[float] = []
    cpu_before, start = cpu.seconds(pids), time.perf_counter()
    while (elapsed := time.perf_counter() - start) < plan.seconds or len(taken) < 2:
        began = time.perf_counter()
        answered = client.post("/api/v1/batch-predict", body)["count"]
        taken.append(time.perf_counter() - began)
        assert answered == WHOLE_BATCH
    cpu_used = cpu.seconds(pids) - cpu_before
    client.close()
    percentiles = quantiles(taken, n=100, method="inclusive")
    return Row(
        name=BATCH_1000,
        hops=system.hops,
        connections=1,
        mails_per_s=len(taken) * WHOLE_BATCH / elapsed,
        cpu_us_per_mail=1e6 * cpu_used / (len(taken) * WHOLE_BATCH),
        p50_ms=1e3 * percentiles[49],
        p99_ms=1e3 * percentiles[98],
        errors=0,
    )


def measure_in_process(plan: Plan, mails: list[str], batch: int) -> Row:
    """Measure features and model without a server."""
    done = inprocess.measure(plan.model, _mails_file(plan, mails), batch, plan.seconds)
    return Row(
        name=IN_PROCESS.format(batch),
        hops=0,
        connections=0,
        mails_per_s=done.mails / done.seconds,
        cpu_us_per_mail=1e6 * done.cpu_seconds / done.mails,
        p50_ms=done.p50_ms,
        p99_ms=done.p99_ms,
        errors=0,
        mails_per_batch=batch,
    )


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, flush=True)


def _answers(system: System, mails: list[str]) -> Iterator[object]:
    client = Client(system.base)
    try:
        for mail in mails:
            yield client.post(system.path, system.body(mail))
    finally:
        client.close()


def _mails_file(plan: Plan, mails: list[str]) -> Path:
    file = plan.scratch / "mails.json"
    file.write_text(json.dumps(mails))
    return file


def _per_batch(before: systems.Batched | None, after: systems.Batched | None) -> float | None:
    if before is None or after is None or after.batches == before.batches:
        return None
    return (after.mails - before.mails) / (after.batches - before.batches)


def _told(number: int, plan: Plan, row: Row) -> Row:
    where = f", {row.connections} connections" if row.connections else ""
    figures = f"{row.mails_per_s:,.0f} mails/s, {row.cpu_us_per_mail:,.0f} µs CPU/mail, p50 {row.p50_ms:.2f} ms"
    say(f"round {number}/{plan.rounds}  {row.name}{where}: {figures}, {row.errors} errors")
    return row
