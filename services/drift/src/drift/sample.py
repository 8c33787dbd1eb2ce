"""Samples: rows of the log or of a baseline as columns of numbers, and counts of the rows set aside."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.compare import Columns, Values
from inferencelog import MEASURES, SCORE, Baseline, one_line

IDENTITY = ("model_version", "model_sha256", "feature_schema_version")
"""Columns that say which model and feature schema a row of the log belongs to."""


NAMED = 20
"""Most models, or feature schemas, that are named; rows of further ones are counted together."""
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Unusable:
    """Counts of rows with values that no mail has."""

    not_finite: int = 0
    """Rows with a value that is missing or not a finite number."""
    out_of_range: int = 0
    """Other rows with a value below 0, or with a share or probability above 1."""
    columns: dict[str, int] = field(default_factory=dict)
    """Number of rows with such a value, by column."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Counts of the window's rows that were not compared, by reason."""

    other_environment: int = 0
    other_hour: int = 0
    """Rows without a time, or with a time outside the hour of their partition."""
    other_models: dict[str, int] = field(default_factory=dict)
    """Rows by model version, with the digest if the version alone would be the baseline's."""
    other_schemas: dict[str, int] = field(default_factory=dict)
    """Rows of the baseline's model that have another feature schema, by schema version."""
    unusable: Unusable = Unusable()

    @property
    def by_reason(self) -> dict[str, int]:
        """Return the number of rows for each reason."""
        return {
            "other_model": sum(self.other_models.values()),
            "other_schema": sum(self.other_schemas.values()),
            "other_environment": self.other_environment,
            "other_hour": self.other_hour,
            "not_finite": self.unusable.not_finite,
            "out_of_range": self.unusable.out_of_range,
        }


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows that can be compared."""

    columns: Columns
    rows: int


@dataclass(frozen=True, slots=True)
class Own:
    """Measures of the rows of the baseline's model, and counts of the rows of other models."""

    columns: dict[str, pa.ChunkedArray]
    other_models: dict[str, int]
    other_schemas: dict[str, int]


def own_rows(table: pa.Table, baseline: Baseline) -> Own:
    """Leave out rows of another model or feature schema, which differ for reasons other than changed mail.

    Args:
        table: Columns `IDENTITY` and `MEASURES`, n rows.
    """
    others: Counter[str] = Counter()
    schemas: Counter[str] = Counter()
    labels = table.select(list(IDENTITY))
    keep = None
    for group in labels.group_by(list(IDENTITY)).aggregate([([], "count_all")]).to_pylist():
        version, digest, schema = (group[name] or "" for name in IDENTITY)
        if not same_model(baseline, version, digest):
            name = f"{version} (SHA-256 {digest[:12]}…)" if version == baseline.model_version else version
            others[one_line(name) or "unknown"] += group["count_all"]
        elif schema != baseline.feature_schema_version:
            schemas[one_line(schema) or "unknown"] += group["count_all"]
        else:
            found = _equal(labels, group)
            keep = found if keep is None else pc.or_(keep, found)
    # Most windows hold rows of one model only and need no copy.
    if others or schemas:
        table = table.filter(keep) if keep is not None else table.slice(0, 0)
    return Own(measures(table), _named(others), _named(schemas))


def _named(counts: Counter[str]) -> dict[str, int]:
    """Return the largest counts by name, because a writer to the log may name a thousand models in each file."""
    found = dict(counts.most_common(NAMED))
    rest = counts.total() - sum(found.values())
    return found | ({OTHERS: found.get(OTHERS, 0) + rest} if rest else {})


def measures(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Return the columns of `MEASURES`."""
    return {name: table[name] for name in MEASURES}


def same_model(baseline: Baseline, version: str, digest: str) -> bool:
    """Return whether a row is of the baseline's model: by digest if both are known, else by version."""
    if digest and baseline.model_sha256:
        return digest == baseline.model_sha256
    return version == baseline.model_version


def _equal(labels: pa.Table, group: dict[str, Any]) -> pa.ChunkedArray:
    masks = []
    for name in IDENTITY:
        column = labels[name].cast(pa.string())
        masks.append(pc.is_null(column) if group[name] is None else pc.fill_null(pc.equal(column, group[name]), False))
    return pc.and_(pc.and_(masks[0], masks[1]), masks[2])


def usable_rows(arrow: dict[str, pa.ChunkedArray]) -> tuple[Sample, Unusable]:
    """Return the rows in which each of `MEASURES` is a number that mail can have.

    Args:
        arrow: Columns by name. They are removed one by one, so that a busy hour is not held twice in memory.

    Returns:
        The rows, and counts of what was left out.
    """
    columns = {name: _values(arrow.pop(name), name) for name in MEASURES}
    finite = np.ones(len(columns[SCORE]), dtype=bool)
    usable = finite.copy()
    wrong: dict[str, int] = {}
    for name, values in columns.items():
        # NaN fails both comparisons.
        good = (values >= 0) & (values <= _most(name))
        if not good.all():
            wrong[name] = int((~good).sum())
            usable &= good
            finite &= np.isfinite(values)
    if wrong:
        columns = {name: values[usable] for name, values in columns.items()}
    kept, numbers = int(usable.sum()), int(finite.sum())
    return Sample(columns, kept), Unusable(len(finite) - numbers, numbers - kept, wrong)


def _most(name: str) -> float:
    is_share = name == SCORE or name.endswith("_share")
    return 1.0 if is_share else float(np.finfo(np.float32).max)


def _values(column: pa.ChunkedArray, name: str) -> Values:
    # Use the same precision on both sides: a share such as 0.1, rounded on one side only, would differ everywhere.
    kind = np.float64 if name == SCORE else np.float32
    values: Values = column.to_numpy().astype(kind, copy=False)
    return values
