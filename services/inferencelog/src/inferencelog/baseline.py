"""Baselines: what mail and scores looked like when they were healthy, and whose they are."""

import io
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from inferencelog.errors import BaselineError
from inferencelog.schema import measures_schema
from inferencelog.store import split_file

_TEXTS = ("model_name", "model_version", "model_sha256", "feature_schema_version", "source")


@dataclass(frozen=True, slots=True)
class Baseline:
    """Rows of `MEASURES` and what they are rows of."""

    table: pa.Table
    model_name: str
    model_version: str
    model_sha256: str
    feature_schema_version: str
    threshold: float
    """The lowest probability that is called spam."""
    source: str
    """Where the rows are from, for a person."""
    period: tuple[datetime, datetime] | None = None
    """When the rows were logged; None where they are no part of a log."""

    @property
    def rows(self) -> int:
        """How many mails."""
        return int(self.table.num_rows)


def write_baseline(baseline: Baseline) -> bytes:
    """The baseline as a Parquet file.

    Features become FP32, as they are in the log: rounded on one side only, equal values would differ.
    """
    metadata = {name: str(getattr(baseline, name)) for name in (*_TEXTS, "threshold", "rows")}
    if baseline.period:
        metadata |= dict(zip(("period_start", "period_end"), map(datetime.isoformat, baseline.period), strict=True))
    table = baseline.table.select(measures_schema().names).cast(measures_schema())
    target = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), target, compression="zstd")
    return target.getvalue()


def read_baseline(uri: str) -> Baseline:
    """The baseline in a file: a path, `file:///…` or `s3://…`.

    Raises:
        StoreError: It cannot be read.
        BaselineError: It is none.
    """
    store, name = split_file(uri)
    data = store.read(name)
    try:
        return _baseline(pq.read_table(pa.BufferReader(data)))
    except (pa.ArrowException, OSError, LookupError, ValueError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BaselineError(f"{uri} is no baseline: {why}; make one with baseline-generator") from error


def _baseline(table: pa.Table) -> Baseline:
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return Baseline(
        table=table.replace_schema_metadata(None),
        threshold=float(metadata["threshold"]),
        period=_period(metadata),
        **{name: metadata[name] for name in _TEXTS},
    )


def _period(metadata: dict[str, Any]) -> tuple[datetime, datetime] | None:
    if "period_start" not in metadata:
        return None
    return datetime.fromisoformat(metadata["period_start"]), datetime.fromisoformat(metadata["period_end"])
