"""Baselines: features and scores of healthy mail, and the model they belong to."""

import io
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from inferencelog.bounded import read_bounded, read_whole
from inferencelog.errors import BaselineError, StoreError
from inferencelog.schema import measures_schema
from inferencelog.store import split_file
from inferencelog.text import is_plain, one_line

_TEXTS = ("model_name", "model_version", "model_sha256", "feature_schema_version", "source")


@dataclass(frozen=True, slots=True)
class Baseline:
    """Rows of `MEASURES` and their origin."""

    table: pa.Table
    model_name: str
    model_version: str
    model_sha256: str
    feature_schema_version: str
    threshold: float
    """Lowest probability that is called spam."""
    source: str
    """Origin of the rows, for a person."""
    period: tuple[datetime, datetime] | None = None
    """Period in which the rows were logged; None if they are not from a log."""

    @property
    def rows(self) -> int:
        """Return the number of mails."""
        return int(self.table.num_rows)


def write_baseline(baseline: Baseline) -> bytes:
    """Return the baseline as a Parquet file.

    Features become FP32, as in the log: equal values would differ if they were rounded on one side only.
    """
    metadata = {name: str(getattr(baseline, name)) for name in (*_TEXTS, "threshold", "rows")}
    if baseline.period:
        metadata |= dict(zip(("period_start", "period_end"), map(datetime.isoformat, baseline.period), strict=True))
    table = baseline.table.select(measures_schema().names).cast(measures_schema())
    target = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), target, compression="zstd")
    return target.getvalue()


def read_baseline(uri: str) -> Baseline:
    """Return the baseline in a file: a path, `file:///…` or `s3://…`.

    Raises:
        StoreError: If the file cannot be read.
        BaselineError: If it is not a baseline.
    """
    return read_baseline_file(uri)[0]


def read_baseline_file(uri: str) -> tuple[Baseline, memoryview]:
    """Return the baseline in a file and the file's content, which is read once; raises as `read_baseline`."""
    store, name = split_file(uri)
    try:
        data = read_whole(store, name)
        return _baseline(read_bounded(data, measures_schema())), memoryview(data)
    except StoreError:
        raise
    except Exception as error:  # pyarrow reports a corrupt file by many kinds of errors
        why = one_line(f"{type(error).__name__}: {error}")
        raise BaselineError(f"{uri} is no baseline: {why}; make one with baseline-generator") from error


def _baseline(table: pa.Table) -> Baseline:
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return Baseline(
        table=table.replace_schema_metadata(None),
        threshold=_threshold(metadata["threshold"]),
        period=_period(metadata),
        **{name: _text(name, metadata[name]) for name in _TEXTS},
    )


def _text(name: str, text: str) -> str:
    if name == "source":
        return one_line(text)  # for people only, so it need not be exactly what was written
    if text and not is_plain(text):
        raise ValueError(f"{name} must be one line of printable characters, is {text!r}")
    return text


def _threshold(text: str) -> float:
    found = float(text)
    if not (math.isfinite(found) and 0 <= found <= 1):
        raise ValueError(f"threshold must be 0 to 1, is {found}")
    return found


def _period(metadata: dict[str, Any]) -> tuple[datetime, datetime] | None:
    if "period_start" not in metadata:
        return None
    start, end = (datetime.fromisoformat(metadata[name]) for name in ("period_start", "period_end"))
    if start.tzinfo is None or end.tzinfo is None or end <= start:
        raise ValueError("period_start and period_end must be times with a zone, the end after the start")
    return start, end
