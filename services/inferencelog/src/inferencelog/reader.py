"""Reading a stretch of the log."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inferencelog.errors import StoreError
from inferencelog.schema import environment_folder, hours, partition, schema
from inferencelog.store import Store

READERS = 8
"""Files read at a time: many are small, and S3 answers each after some milliseconds."""

SUFFIX = ".parquet"
_KEYS = ("time", "environment")

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of one environment with start <= time < end."""

    table: pa.Table
    files: int
    """How many files could be read."""
    unreadable: dict[str, str]
    """Path of a file that is no part of this log -> why."""
    other_environment: int
    """Rows that lie in this environment's partitions and say that they are of another; not in the table."""


def read_window(
    store: Store, environment: str, start: datetime, end: datetime, columns: Sequence[str] | None = None
) -> Window:
    """Read the partitions, row groups and columns that the window needs, and no others.

    Args:
        columns: Of `schema()`; all by default.

    Raises:
        StoreError: The store cannot be read.
        ValueError: No environment, or no window.
    """
    return read_rows(store, environment, start, end, schema(), columns)


def read_rows(
    store: Store,
    environment: str,
    start: datetime,
    end: datetime,
    whole: pa.Schema,
    columns: Sequence[str] | None = None,
) -> Window:
    """Read a window of any rows that are partitioned like the log; see `read_window`.

    Args:
        whole: The columns that a file has, with `time` and `environment`.
    """
    wanted = whole if columns is None else pa.schema([whole.field(name) for name in columns])
    paths = [p for hour in hours(start, end) for p in store.files(partition(environment, hour)) if p.endswith(SUFFIX)]
    keys = [whole.field(key) for key in _KEYS if key not in wanted.names]
    within = (pc.field("time") >= start) & (pc.field("time") < end)
    read = _together(lambda path: _read(store, path, wanted, keys, within), paths)
    tables = [found for found in read if isinstance(found, pa.Table)]
    unreadable = {path: found for path, found in zip(paths, read, strict=True) if isinstance(found, str)}
    ours = [_of(table, environment) for table in tables]
    others = sum(table.num_rows for table in tables) - sum(table.num_rows for table in ours)
    empty = wanted.empty_table()
    table = pa.concat_tables([empty, *(rows.select(wanted.names) for rows in ours)]).unify_dictionaries()
    return Window(table, len(tables), unreadable, others)


def newest_time(store: Store, environment: str) -> datetime | None:
    """When the newest row of an environment was written; None for an empty log.

    Raises:
        StoreError: The store cannot be read.
    """
    for date in reversed(store.folders(environment_folder(environment))):
        for hour in reversed(store.folders(date)):
            paths = [path for path in store.files(hour) if path.endswith(SUFFIX)]
            times = [time for time in _together(lambda path: _newest(store, path), paths) if time]
            if times:
                return max(times)
    return None


def _of(table: pa.Table, environment: str) -> pa.Table:
    """The rows of the environment; the table itself, not a copy, where that is all of them."""
    own = pc.equal(table["environment"].cast(pa.string()), environment)
    return table if pc.all(own).as_py() else table.filter(own)


def _together(work: Callable[[str], Answer], paths: Iterable[str]) -> list[Answer]:
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(work, paths))


def _read(
    store: Store, path: str, wanted: pa.Schema, keys: Sequence[pa.Field], within: pc.Expression
) -> pa.Table | str | None:
    """The file's rows, or why it has none to give, or None when it is gone: somebody expires old files."""
    fields = [*wanted, *keys]
    try:
        with store.open(path) as file:
            # One thread a file: the files are read side by side.
            table = pq.read_table(file, columns=[f.name for f in fields], filters=within, use_threads=False)
        return table.select([f.name for f in fields]).cast(pa.schema(fields))
    except StoreError:
        if path in store.files(path.rpartition("/")[0]):
            raise
        return None
    except Exception as error:  # pyarrow tells of a corrupt file in errors of many kinds
        return _why(store, path, error)


def _why(store: Store, path: str, error: Exception) -> str:
    """Why the file cannot be read, once it is sure that it is the file and not the store."""
    store.read(path)
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def _newest(store: Store, path: str) -> datetime | None:
    try:
        with store.open(path) as file:
            return _newest_in(pq.ParquetFile(file).metadata)
    except StoreError:
        raise
    except Exception:  # a corrupt file has no rows; reading its window says so
        return None


def _newest_in(metadata: Any) -> datetime | None:
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    column = metadata.schema.names.index("time")
    newest = [group.column(column).statistics.max for group in groups if group.num_rows]
    return max(newest, default=None)
