"""Rows of the log or of a baseline as columns of numbers, and what had to be set aside."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.compare import Columns, Values
from inferencelog import MEASURES, SCORE, Baseline, one_line

IDENTITY = ("model_version", "model_sha256", "feature_schema_version")
"""Whose features and scores a row of the log holds."""


NAMED = 20
"""Models, or feature schemas, that are named; rows of further ones are counted together."""
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Unusable:
    """Rows with values that no mail has."""

    not_finite: int = 0
    """Rows with a value that is missing or no finite number."""
    out_of_range: int = 0
    """Other rows with a value below 0, or with a share or probability above 1."""
    columns: dict[str, int] = field(default_factory=dict)
    """Column -> rows in which it has such a value."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Rows of the window that were not compared, by the reason."""

    other_environment: int = 0
    other_hour: int = 0
    """Rows whose time is missing, or not in the hour of their partition."""
    other_models: dict[str, int] = field(default_factory=dict)
    """By model version; with the digest where the version alone would be the baseline's."""
    other_schemas: dict[str, int] = field(default_factory=dict)
    """By feature schema version; rows of the baseline's model all the same."""
    unusable: Unusable = Unusable()

    @property
    def by_reason(self) -> dict[str, int]:
        """How many rows for each reason."""
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
    """The measures of the baseline's model's rows, and how many rows are of others."""

    columns: dict[str, pa.ChunkedArray]
    other_models: dict[str, int]
    other_schemas: dict[str, int]


def own_rows(table: pa.Table, baseline: Baseline) -> Own:
    """Leave out rows of another model or feature schema: they differ for reasons that are no change of mail.

    Args:
        table: `IDENTITY` and `MEASURES`, n rows.
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
    # Most windows have rows of one model only; they need no copy.
    if others or schemas:
        table = table.filter(keep) if keep is not None else table.slice(0, 0)
    return Own(measures(table), _named(others), _named(schemas))


def _named(counts: Counter[str]) -> dict[str, int]:
    """The largest counts by name: whoever writes the log may name a thousand models in each file."""
    found = dict(counts.most_common(NAMED))
    rest = counts.total() - sum(found.values())
    return found | ({OTHERS: found.get(OTHERS, 0) + rest} if rest else {})


def measures(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """The columns of `MEASURES`."""
    return {name: table[name] for name in MEASURES}


def same_model(baseline: Baseline, version: str, digest: str) -> bool:
    """Whether it is the baseline's model: by the digests where both are known, else by the version."""
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
    """The rows in which each of `MEASURES` is a number that mail can have.

    Args:
        arrow: Is emptied column by column, so that an hour of much mail is not held twice.

    Returns:
        The rows, and what was left out.
    """
    columns = {name: _values(arrow.pop(name), name) for name in MEASURES}
    finite = np.ones(len(columns[SCORE]), dtype=bool)
    usable = finite.copy()
    wrong: dict[str, int] = {}
    for name, values in columns.items():
        # Which holds for no NaN.
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
    # On both sides in the same precision: a share such as 0.1 rounded on one side only would differ everywhere.
    kind = np.float64 if name == SCORE else np.float32
    values: Values = column.to_numpy().astype(kind, copy=False)
    return values
