"""Reports of a comparison: `report.json` and `report.html`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib.metadata import version
from itertools import islice

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from drift import words
from drift.chart import Chart, chart
from drift.result import NAMED_FILES, Measured, Result
from drift.sample import Unusable
from inferencelog import open_store

LIBRARIES = ("alibi-detect", "scipy", "numpy", "pyarrow")


@dataclass(frozen=True, slots=True)
class Card:
    """Measure as the page shows it."""

    name: str
    title: str
    description: str
    drifted: bool
    distance: str
    sentence: str
    medians: str
    chance: str
    chart: Chart


def write(result: Result, root: str) -> None:
    """Write both files where `Result.report_uri` says.

    Raises:
        inferencelog.StoreError: If the store does not accept them.
    """
    store = open_store(root)
    folder = result.period.folder(result.environment)
    content = {**result.everything(), "versions": versions()}
    # Write the page last, so that whoever sees it finds the figures beside it.
    store.write(f"{folder}/report.json", json.dumps(content, indent=2, allow_nan=False).encode())
    store.write(f"{folder}/report.html", page(result).encode())


def versions() -> dict[str, str]:
    """Return the versions of the libraries that computed the figures."""
    return {name: version(name) for name in LIBRARIES}


def page(result: Result) -> str:
    """Return the report as one self-contained HTML page."""
    return _template().render(
        result=result,
        status=result.status.name.lower().replace("_", "-"),
        headline=words.headline(result),
        subline=words.subline(result),
        advice=words.advice(result),
        facts=_facts(result),
        notes=_notes(result),
        moved=[_card(each) for each in result.drifted],
        unmoved=[_card(each) for each in result.measured if not each.change.drifted],
        limit=round(1 / result.settings["false_alarm_rate"]),
        versions=versions(),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("drift"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html")


def _card(each: Measured) -> Card:
    measure = each.change.measure
    return Card(
        name=measure,
        title=words.title(measure),
        description=words.description(measure),
        drifted=each.change.drifted,
        distance=f"{'moved' if each.change.drifted else 'differs'} by {words.percent(each.change.distance)}",
        sentence=words.sentence(each),
        medians=words.medians(each),
        chance=words.chance(each.change.p_value),
        chart=chart(each),
    )


def _facts(result: Result) -> list[tuple[str, str]]:
    """Return what was compared, as names and values."""
    baseline = result.baseline
    period = "" if baseline.period is None else f", {' to '.join(map(words.moment, baseline.period))} UTC"
    last = words.moment(result.period.end)
    return [
        ("Environment", result.environment),
        ("Period", f"{words.moment(result.period.start)} to {last[11:] if _one_day(result) else last} UTC"),
        ("Mail compared", f"{result.rows:,}"),
        ("Baseline", f"{words.plural(baseline.rows, 'mail')}{period}; {baseline.source}"),
        ("Model", f"{baseline.model_name} {baseline.model_version}"),
        ("Newest row", _age(result)),
    ]


def _one_day(result: Result) -> bool:
    return result.period.start.date() == result.period.end.date()


def _age(result: Result) -> str:
    if result.log.newest is None or result.age_seconds is None:
        return "none: the log of this environment is empty"
    if result.age_seconds < 0:
        return f"{words.moment(result.log.newest)} UTC, after this report was made"
    return f"{_duration(result.age_seconds)} before this report was made"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return words.plural(round(seconds), "second")
    if seconds < 7200:
        return words.plural(round(seconds / 60), "minute")
    return f"{timedelta(hours=round(seconds / 3600)) // timedelta(hours=1):,} hours"


def _notes(result: Result) -> list[str]:
    """Return notes on what was not compared and on what else may mislead."""
    aside = result.log.set_aside
    notes = [
        f"{words.plural(count, 'row')} of model {name}; this baseline says nothing about other models"
        for name, count in aside.other_models.items()
    ]
    for name, count in aside.other_schemas.items():
        notes.append(f"{words.plural(count, 'row')} of feature schema {name}")
    if aside.other_environment:
        notes.append(f"{words.plural(aside.other_environment, 'row')} of another environment in this one's partition")
    if aside.other_hour:
        notes.append(
            f"{words.plural(aside.other_hour, 'row')} without a time, or of another hour than their partition's"
        )
    return [*notes, *_unusable(aside.unusable), *_unreadable(result.log.unreadable)]


def _unusable(found: Unusable) -> Iterator[str]:
    columns = ", ".join(f"{name}: {count:,}" for name, count in found.columns.items())
    if found.not_finite:
        yield f"{words.plural(found.not_finite, 'row')} with a value missing or no finite number ({columns})"
    if found.out_of_range:
        yield f"{words.plural(found.out_of_range, 'row')} with a value that no mail has ({columns})"


def _unreadable(found: dict[str, str]) -> Iterator[str]:
    for path, why in islice(found.items(), NAMED_FILES):
        yield f"the file {path}, which cannot be read: {why}"
    if len(found) > NAMED_FILES:
        yield f"{len(found) - NAMED_FILES:,} more files that cannot be read"
