"""Rows on their way to a file of the inference log."""

from __future__ import annotations

import io
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

import features
from inferencelog.schema import partition, schema

HOUR_MICROSECONDS = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """Answered mails of one batch."""

    request_ids: Sequence[str]
    values: Sequence[Sequence[float]]
    """Named features of each mail, in the order of `features.NAMES`."""
    spam: Sequence[float]
    model_version: str
    model_sha256: str


@dataclass(frozen=True, slots=True)
class File:
    """Parquet file to be written."""

    path: str
    data: bytes
    rows: int


@dataclass(slots=True)
class Chunk:
    """Rows as flat lists of numbers: rows are cheap to add, and columns are made without a loop."""

    times: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("f"))
    spam: array[float] = field(default_factory=lambda: array("d"))
    request_ids: list[str] = field(default_factory=list)
    models: list[tuple[str, str, int]] = field(default_factory=list)
    """Version, digest and the number of consecutive rows of this model."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.spam)

    def add(self, rows: Rows, microseconds: int) -> None:
        """Add rows that were answered at a time (microseconds since 1970, UTC)."""
        n = len(rows.spam)
        self.times.extend([microseconds] * n)
        for values in rows.values:
            self.values.extend(values)
        self.spam.extend(rows.spam)
        self.request_ids.extend(rows.request_ids)
        self._add_model(rows.model_version, rows.model_sha256, n)

    def _add_model(self, version: str, sha256: str, n: int) -> None:
        if self.models and self.models[-1][:2] == (version, sha256):
            n += self.models.pop()[2]
        self.models.append((version, sha256, n))

    def files(self, environment: str) -> list[File]:
        """Return one file for each hour of the rows; every call gives the files new names."""
        return files_of(self._table(environment), environment)

    def _table(self, environment: str) -> pa.Table:
        n = len(self)
        values = np.frombuffer(self.values, np.float32).reshape(n, len(features.NAMES))
        runs = [count for _, _, count in self.models]
        columns = [
            pa.array(np.frombuffer(self.times, np.int64), pa.timestamp("us", tz="UTC")),
            labels([environment], [n]),
            labels([version for version, _, _ in self.models], runs),
            labels([digest for _, digest, _ in self.models], runs),
            labels([features.SCHEMA_VERSION], [n]),
            pa.array(self.request_ids, pa.string()),
            *(pa.array(np.ascontiguousarray(column)) for column in values.T),
            pa.array(np.frombuffer(self.spam, np.float64)),
        ]
        return pa.Table.from_arrays(columns, schema=schema())


def files_of(table: pa.Table, environment: str) -> list[File]:
    """Return one file for each hour in a table with a column `time`; every call gives the files new names."""
    hours = table["time"].to_numpy().astype("datetime64[us]").astype(np.int64) // HOUR_MICROSECONDS
    return [_file(table.filter(pa.array(hours == hour)), environment, int(hour)) for hour in np.unique(hours)]


def labels(names: Sequence[str], runs: Sequence[int]) -> pa.DictionaryArray:
    """Return a column of `LABEL` that repeats each name as often as its run is long [sum of runs]."""
    different = sorted(set(names))
    places: npt.NDArray[Any] = np.repeat([different.index(name) for name in names], runs).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(places), pa.array(different, pa.string()))


def _file(table: pa.Table, environment: str, hour: int) -> File:
    begin = datetime.fromtimestamp(hour * 3600, UTC)
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd")
    first = table["time"][0].as_py()
    name = f"{partition(environment, begin)}/{first:%Y%m%dT%H%M%S}-{uuid4().hex}.parquet"
    return File(name, target.getvalue(), table.num_rows)
