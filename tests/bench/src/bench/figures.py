"""Figures of a run: one row for each system and number of connections, medians over rounds, and ratios."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.systems import LOGGING, MLSERVER, OURS, TRACED, UNCOALESCED

BATCH_1000 = f"{OURS}, batch of 1000"
IN_PROCESS = "in process, batch of {}"

MEASURES = ("mails_per_s", "cpu_us_per_mail", "p50_ms", "p99_ms")


@dataclass(frozen=True)
class Row:
    """Figures of one measurement, or the medians of several.

    CPU is in microseconds a mail over all server processes; percentiles are in milliseconds a request. 0 connections
    and 0 hops mean in process. `mails_per_batch` is None if the system does not count it.
    """

    name: str
    hops: int
    connections: int
    mails_per_s: float
    cpu_us_per_mail: float
    p50_ms: float
    p99_ms: float
    errors: int
    mails_per_batch: float | None = None


@dataclass(frozen=True)
class Ratio:
    """Ratio by which the design is judged, with what it must and should be."""

    label: str
    value: Callable[["Rows"], float]
    at_most: float | None = None
    at_least: float | None = None
    aim: float | None = None

    def meets(self, value: float) -> bool:
        """Return whether a value meets what it must be."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


class Rows:
    """Rows of a run by system and connections."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = {(row.name, row.connections): row for row in rows}

    def __call__(self, name: str, connections: int) -> Row:
        return self._rows[name, connections]


RATIOS = {
    "cpu_vs_mlserver_at_64": Ratio(
        "our CPU a mail / MLServer's, 64 connections",
        lambda at: at(OURS, 64).cpu_us_per_mail / at(MLSERVER, 64).cpu_us_per_mail,
        at_most=0.6,
        aim=0.4,
    ),
    "coalescing_throughput_at_64": Ratio(
        "our mails/s, coalescing on / off, 64 connections",
        lambda at: at(OURS, 64).mails_per_s / at(UNCOALESCED, 64).mails_per_s,
        at_least=6.0,
        aim=8.0,
    ),
    "inference_log_cpu_at_64": Ratio(
        "our CPU a mail, inference log on / off, 64 connections",
        lambda at: at(LOGGING, 64).cpu_us_per_mail / at(OURS, 64).cpu_us_per_mail,
        at_most=1.08,
    ),
    "tracing_cpu_at_64": Ratio(
        "our CPU a mail, traced at 1 % / not, 64 connections",
        lambda at: at(TRACED, 64).cpu_us_per_mail / at(OURS, 64).cpu_us_per_mail,
        at_most=1.03,
    ),
    "p50_ms_at_1": Ratio("our p50, 1 connection, ms", lambda at: at(OURS, 1).p50_ms, at_most=2.2, aim=1.8),
    "batch_1000_cpu_vs_in_process_32": Ratio(
        "CPU a mail, our batch of 1000 / in process",
        lambda at: at(BATCH_1000, 1).cpu_us_per_mail / at(IN_PROCESS.format(32), 0).cpu_us_per_mail,
        at_most=1.5,
    ),
}


def medians(rounds: list[list[Row]]) -> list[Row]:
    """Return one row for each system and number of connections: medians over the rounds, and the sum of all errors."""
    repeated: dict[tuple[str, int], list[Row]] = {}
    for row in (row for rows in rounds for row in rows):
        repeated.setdefault((row.name, row.connections), []).append(row)
    return [_median(rows) for rows in repeated.values()]


def _median(rows: list[Row]) -> Row:
    middle = {measure: round(median(getattr(row, measure) for row in rows), 3) for measure in MEASURES}
    batches = [row.mails_per_batch for row in rows if row.mails_per_batch is not None]
    first = rows[0]
    return Row(
        name=first.name,
        hops=first.hops,
        connections=first.connections,
        errors=sum(row.errors for row in rows),
        mails_per_batch=round(median(batches), 2) if batches else None,
        **middle,
    )


def ratios(rounds: list[list[Row]]) -> dict[str, float]:
    """Return the ratios whose systems were all measured: the median of each round's own ratio.

    A machine's speed changes over time, but figures of one round were measured close together. The ratio of two medians
    could mix rounds, which would favour one of the systems.
    """
    values = {}
    for name, ratio in RATIOS.items():
        try:
            values[name] = round(median(ratio.value(Rows(rows)) for rows in rounds), 3)
        except KeyError:
            continue
    return values


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Return the rows as JSON objects."""
    return [asdict(row) for row in rows]


def table(rows: list[Row]) -> str:
    """Return the rows as text for people."""
    width = max(len(row.name) for row in rows)
    head = f"{'system':{width}}  hops  conn.   mails/s  CPU µs/mail    p50 ms    p99 ms  errors  mails/batch"
    return "\n".join([head, "-" * len(head), *(_line(row, width) for row in sorted(rows, key=_order))])


def summary(values: dict[str, float]) -> str:
    """Return the ratios as text, each beside what it must and should be."""
    return "\n".join(_verdict(RATIOS[name], value) for name, value in values.items())


def _order(row: Row) -> tuple[bool, int]:
    return row.connections == 0, row.connections


def _line(row: Row, width: int) -> str:
    hops, connections = (row.hops, row.connections) if row.connections else ("-", "-")
    batch = f"{row.mails_per_batch:.1f}" if row.mails_per_batch is not None else "-"
    return (
        f"{row.name:{width}}  {hops:>4}  {connections:>5}  {row.mails_per_s:8,.0f}  {row.cpu_us_per_mail:11,.0f}"
        f"  {row.p50_ms:8.2f}  {row.p99_ms:8.2f}  {row.errors:6,}  {batch:>11}"
    )


def _verdict(ratio: Ratio, value: float) -> str:
    must = f"at most {ratio.at_most:g}" if ratio.at_most is not None else f"at least {ratio.at_least:g}"
    aim = f", aim {ratio.aim:g}" if ratio.aim is not None else ""
    return f"{ratio.label:55} {value:6.2f}  ({must}{aim}): {'met' if ratio.meets(value) else 'MISSED'}"
