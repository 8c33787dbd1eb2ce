"""Result of a drift detector run."""

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from drift.compare import Change
from drift.period import Period
from drift.picture import Picture
from drift.sample import SetAside
from inferencelog import Baseline

NAMED_FILES = 20
"""Most unreadable files that the log line and the page name; all are counted."""
SKEW_SECONDS = 60.0
"""Seconds that the newest row may lie in the future before a clock skew is reported."""


class Status(StrEnum):
    """Outcome of a comparison."""

    DRIFT = "drift"
    NO_DRIFT = "no drift"
    INSUFFICIENT_DATA = "insufficient data"


@dataclass(frozen=True, slots=True)
class Measured:
    """Measure with its difference and its distributions."""

    change: Change
    picture: Picture


@dataclass(frozen=True, slots=True)
class Log:
    """Contents of the window."""

    rows: int
    """Rows of this environment, of whatever model."""
    files: int
    unreadable: dict[str, str]
    """Reason why a file is not part of the log, by path; both are one printable line."""
    set_aside: SetAside
    newest: datetime | None
    """Time of the environment's newest row, in the window or later."""


@dataclass(frozen=True, slots=True)
class Result:
    """Result from which the log line, the gauges and the report are made."""

    status: Status
    environment: str
    period: Period
    created: datetime
    baseline: Baseline
    baseline_uri: str
    report_uri: str
    rows: int
    """Rows that were compared, or would have been with enough data."""
    log: Log
    measured: list[Measured]
    """Measures, drifted ones first, then by distance; empty if there is insufficient data."""
    settings: dict[str, Any]

    @property
    def drifted(self) -> list[Measured]:
        """Return the measures that have drifted."""
        return [each for each in self.measured if each.change.drifted]

    @property
    def age_seconds(self) -> float | None:
        """Return the seconds from the newest row to the run; negative if that row lies in the future."""
        return None if self.log.newest is None else (self.created - self.log.newest).total_seconds()

    @property
    def clock_skew_seconds(self) -> float:
        """Return how many seconds the newest row lies in the future; 0 for less than `SKEW_SECONDS`."""
        age = self.age_seconds
        return -age if age is not None and age < -SKEW_SECONDS else 0.0

    def summary(self) -> dict[str, Any]:
        """Return the result for JSON, without pictures and without the measures that have not drifted."""
        return {
            "status": str(self.status),
            "environment": self.environment,
            "window": {"start": self.period.start.isoformat(), "end": self.period.end.isoformat()},
            "rows": self.rows,
            "drifted": [_rounded(each.change) for each in self.drifted],
            "tested": len(self.measured),
            "set_aside": self.log.set_aside.by_reason,
            "other_models": self.log.set_aside.other_models,
            "other_schemas": self.log.set_aside.other_schemas,
            "not_finite_columns": self.log.set_aside.unusable.columns,
            "files": self.log.files,
            "unreadable": len(self.log.unreadable),
            "unreadable_files": dict(islice(self.log.unreadable.items(), NAMED_FILES)),
            "data_age_seconds": self.age_seconds,
            "clock_skew_seconds": self.clock_skew_seconds,
            "model_version": self.baseline.model_version,
            "report": self.report_uri,
        }

    def everything(self) -> dict[str, Any]:
        """Return the whole result for JSON."""
        return {
            **self.summary(),
            "created": self.created.isoformat(),
            "baseline": _about(self.baseline, self.baseline_uri),
            "newest_row": None if self.log.newest is None else self.log.newest.isoformat(),
            "settings": self.settings,
            "measures": [_in_full(each) for each in self.measured],
        }


def _rounded(change: Change) -> dict[str, Any]:
    distance, p_value = (float(f"{figure:.6g}") for figure in (change.distance, change.p_value))
    return {"measure": change.measure, "distance": distance, "p_value": p_value}


def _in_full(each: Measured) -> dict[str, Any]:
    return asdict(each.change) | _rounded(each.change) | asdict(each.picture)


def _about(baseline: Baseline, uri: str) -> dict[str, Any]:
    return {
        "uri": uri,
        "source": baseline.source,
        "model_name": baseline.model_name,
        "model_version": baseline.model_version,
        "model_sha256": baseline.model_sha256,
        "feature_schema_version": baseline.feature_schema_version,
        "threshold": baseline.threshold,
        "rows": baseline.rows,
        "period": None if baseline.period is None else [time.isoformat() for time in baseline.period],
    }
