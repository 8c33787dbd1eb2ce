"""Reader of a window of the inference log."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inferencelog.bounded import BoundedFile, ForeignFileError, read_whole
from inferencelog.errors import StoreError, WindowError
from inferencelog.schema import HOUR, environment_folder, hour_of, hours, partition, schema
from inferencelog.store import Store
from inferencelog.text import one_line

READERS = 8
"""Files read at a time: many are small, and S3 answers each only after some milliseconds."""
SMALL_BYTES, SMALL_UNPACKED_BYTES, SMALL_ROWS = 4 * 1024 * 1024, 16 * 1024 * 1024, 50_000
"""Limits of a small file in bytes, unpacked bytes and rows.

A file beyond any of them is read alone, so that memory holds one such file instead of `READERS`.
"""
WINDOW_ROWS = 1_000_000
"""Most rows of a window by default; the drift detector needs about half a kilobyte for each."""

SUFFIX = ".parquet"
_KEYS = ("time", "environment")
_NO_TIME = np.iinfo(np.int64).min
_PATH_CHARACTERS = 300

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of one environment with start <= time < end."""

    table: pa.Table
    files: int
    """Number of files that could be read."""
    unreadable: dict[str, str]
    """Reason why a file is not part of this log, by path; both are one printable line."""
    other_environment: int
    """Rows in this environment's partitions that name another environment; not in the table."""
    other_hour: int
    """Rows without a time or with a time outside the hour of their partition; not in the table."""


def read_window(
    store: Store,
    environment: str,
    start: datetime,
    end: datetime,
    columns: Sequence[str] | None = None,
    most_rows: int = WINDOW_ROWS,
) -> Window:
    """Read only the partitions and columns that the window needs.

    Args:
        columns: Columns of `schema()`; all by default.
        most_rows: Most rows that the window may hold.

    Raises:
        StoreError: If the store cannot be read.
        WindowError: If the window holds more rows.
        ValueError: If the environment or the window is malformed.
    """
    return read_rows(store, environment, start, end, schema(), columns, most_rows)


def read_rows(
    store: Store,
    environment: str,
    start: datetime,
    end: datetime,
    whole: pa.Schema,
    columns: Sequence[str] | None = None,
    most_rows: int = WINDOW_ROWS,
) -> Window:
    """Read a window of any rows that are partitioned like the log; see `read_window`.

    Args:
        whole: Columns that a file has, including `time` and `environment`.
    """
    wanted = whole if columns is None else pa.schema([whole.field(name) for name in columns])
    keys = [whole.field(key) for key in _KEYS if key not in wanted.names]
    reading = _Reading(store, environment, start, end, wanted, pa.schema([*wanted, *keys]), most_rows)
    listed = [each for hour in hours(start, end) for each in _listed(store, partition(environment, hour), hour)]
    unreadable = _Named()
    for path, why in ((each.path, each.odd) for each in listed if each.odd):
        unreadable.add(path, why)
    files = [each for each in listed if not each.odd]
    parts: list[_Part] = []
    for each, found in zip(files, _together(reading.read, files), strict=True):
        if isinstance(found, str):
            unreadable.add(each.path, found)
        elif found is not None:
            parts.append(found)
    batches = [batch for part in parts for batch in part.batches]
    table = pa.Table.from_batches(batches, wanted).unify_dictionaries()
    others = [(part.other_environment, part.other_hour) for part in parts]
    return Window(table, len(parts), unreadable.found, *(sum(each) for each in zip((0, 0), *others, strict=True)))


def newest_time(store: Store, environment: str) -> datetime | None:
    """Return the time of an environment's newest row; None for an empty log.

    Raises:
        StoreError: If the store cannot be read.
    """
    for date in reversed(store.folders(environment_folder(environment))):
        for folder in reversed(store.folders(date)):
            hour = hour_of(folder)
            files = [each for each in _listed(store, folder, hour) if not each.odd] if hour else []
            times = [time for time in _together(lambda each: _newest(store, each), files) if time]
            if times:
                return max(times)
    return None


@dataclass(frozen=True, slots=True)
class _Listed:
    """Name in a partition that fits a file of the log."""

    path: str
    hour: datetime
    odd: str
    """Reason why it is not a readable file; "" for one that is."""


def _listed(store: Store, folder: str, hour: datetime) -> Iterator[_Listed]:
    for path, odd in store.entries(folder):
        if path.endswith(SUFFIX):
            yield _Listed(path, hour, odd)


@dataclass(slots=True)
class _Named:
    """Reasons by file, under printable names that are all different."""

    found: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, why: str) -> None:
        name = shown = one_line(path, _PATH_CHARACTERS)
        number = 1
        while name in self.found:
            number += 1
            name = f"{shown} ({number})"
        self.found[name] = one_line(why)


@dataclass(slots=True)
class _Part:
    """Rows of one file."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    other_environment: int = 0
    other_hour: int = 0


@dataclass(slots=True)
class _Reading:
    """Reader of one window; its methods run in several threads."""

    store: Store
    environment: str
    start: datetime
    end: datetime
    wanted: pa.Schema
    fields: pa.Schema
    """Wanted columns, with `time` and `environment`."""
    most_rows: int
    _rows: int = 0
    _largest: tuple[int, str] = (0, "")
    _counting: threading.Lock = field(default_factory=threading.Lock)
    _large: threading.Lock = field(default_factory=threading.Lock)

    def read(self, listed: _Listed) -> _Part | str | None:
        """Return the file's rows, the reason why it has none, or None if it is gone.

        A file may vanish while the window is read, because old files expire.
        """
        with ExitStack() as alone:
            try:
                data = self._data(listed.path, alone)
            except StoreError:
                if self._is_there(listed.path):
                    raise
                return None
            except ForeignFileError as error:
                return str(error)
            try:
                return self._part(data, listed, alone)
            except WindowError:
                raise
            except ForeignFileError as error:
                return str(error)
            except Exception as error:  # pyarrow reports a corrupt file by many kinds of errors
                return f"{type(error).__name__}: {error}"

    def _is_there(self, path: str) -> bool:
        try:
            return path in self.store.files(path.rpartition("/")[0])
        except StoreError:
            return True

    def _data(self, path: str, alone: ExitStack) -> pa.Buffer:
        def before(size: int) -> None:
            if size > SMALL_BYTES:
                alone.enter_context(self._large)

        # Read the whole file: the bytes that are checked are then the bytes used, and S3 gets one request.
        return read_whole(self.store, path, before)

    def _part(self, data: pa.Buffer, listed: _Listed, alone: ExitStack) -> _Part:
        file = BoundedFile(data, self.fields)
        unpacked = file.unpacked_bytes()
        small = data.size <= SMALL_BYTES
        if small and (unpacked > SMALL_UNPACKED_BYTES or file.rows > SMALL_ROWS):
            alone.enter_context(self._large)
        part = _Part()
        for batch in file.batches():
            kept = self._kept(batch, listed.hour, part)
            self._count(kept.num_rows, listed.path)
            part.batches.append(kept.select(self.wanted.names))
        return part

    def _kept(self, batch: pa.RecordBatch, hour: datetime, part: _Part) -> pa.RecordBatch:
        times = _times(batch.column("time"))
        placed = _are_in(times, hour)
        own = pc.equal(batch.column("environment").cast(pa.string()), self.environment).fill_null(False)
        ours = own.to_numpy(zero_copy_only=False)
        within = placed & (times >= _micros(self.start)) & (times < _micros(self.end))
        part.other_hour += int((~placed).sum())
        part.other_environment += int((within & ~ours).sum())
        keep = within & ours
        # Nearly always all rows are kept and need no copy.
        return batch if keep.all() else batch.filter(pa.array(keep))

    def _count(self, rows: int, path: str) -> None:
        with self._counting:
            self._rows += rows
            self._largest = max(self._largest, (rows, path))
            if self._rows <= self.most_rows:
                return
        largest = self.store.uri(one_line(self._largest[1], _PATH_CHARACTERS))
        raise WindowError(
            f"the window from {self.start.isoformat()} to {self.end.isoformat()} holds more than {self.most_rows:,}"
            f" rows of {self.environment}, and {largest} has the most of them; take a shorter window, or allow more"
            " rows where there is memory for them"
        )


def _micros(time: datetime) -> int:
    return int(np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us").astype(np.int64))


def _together(work: Callable[[Any], Answer], items: Iterable[Any]) -> list[Answer]:
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(work, items))


def _newest(store: Store, listed: _Listed) -> datetime | None:
    """Return the time of a file's newest row, ignoring rows outside the hour of its partition.

    The footer's statistics are not used: wrong ones make Arrow end the process, which no handler can catch.
    """
    try:
        file = BoundedFile(read_whole(store, listed.path), pa.schema([schema().field("time")]))
        file.unpacked_bytes()
        newest = max((_newest_of(batch.column("time"), listed.hour) for batch in file.batches()), default=_NO_TIME)
        return datetime.fromtimestamp(newest / 1e6, UTC) if newest > _NO_TIME else None
    except StoreError:
        raise
    except Exception:  # a corrupt file has no rows; reading its window reports it
        return None


def _newest_of(column: pa.Array, hour: datetime) -> int:
    times = _times(column)
    return int(times[_are_in(times, hour)].max(initial=_NO_TIME))


def _times(column: pa.Array) -> NDArray[np.int64]:
    """Return microseconds since 1970."""
    found: NDArray[np.int64] = column.cast(pa.int64()).fill_null(_NO_TIME).to_numpy(zero_copy_only=False)
    return found


def _are_in(times: NDArray[np.int64], hour: datetime) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (times >= _micros(hour)) & (times < _micros(hour + HOUR))
    return found
