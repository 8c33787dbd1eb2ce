"""Baselines: what mail and scores looked like when they were healthy, and whose they are."""

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
    return read_baseline_file(uri)[0]


def read_baseline_file(uri: str) -> tuple[Baseline, memoryview]:
    """Return the baseline in a file, and the file's content, which was read once; raises as `read_baseline`."""
    store, name = split_file(uri)
    try:
        data = read_whole(store, name)
        return _baseline(read_bounded(data, measures_schema())), memoryview(data)
    except StoreError:
        raise
    except Exception as error:  # pyarrow tells of a corrupt file in errors of many kinds
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
        return one_line(text)  # for people only, so it need not be what was written
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
