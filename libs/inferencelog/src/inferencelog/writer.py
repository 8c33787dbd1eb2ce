"""Writer of the inference log: bounded, off the caller's path, and patient with a store that is away."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar, overload

from inferencelog.chunk import Chunk, File, Rows
from inferencelog.schema import check_environment
from inferencelog.store import Store

log = logging.getLogger("inferencelog")

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Limits on when rows are written and how many may wait."""

    flush_seconds: float = 60.0
    """Longest time in seconds before a file is begun for a row; `kill -9` can lose as much."""
    flush_rows: int = 20_000
    """Number of rows at which a file is begun earlier."""
    buffer_rows: int = 250_000
    """Most rows that may wait for a store that is away; beyond it the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of rows so far, by outcome."""

    written: int = 0
    dropped: int = 0
    waiting: int = 0
    failures: int = 0
    """Number of failed writes; each is retried."""


R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class Buffer(Protocol[R_contra]):
    """Buffer that gathers rows until they become files, such as `Chunk` and `ShadowChunk`."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def add(self, rows: R_contra, microseconds: int) -> None:
        """Add rows that were answered at a time (microseconds since 1970, UTC)."""

    def files(self, environment: str) -> list[File]:
        """Return one file for each hour of the rows."""


class Writer(Generic[R]):
    """Writer that appends an environment's rows to its log.

    `append` only adds to a buffer. The writer's own thread makes files of it and writes them. While the store is away
    it retries with growing pauses, and the buffer fills up to its limit.
    """

    @overload
    def __init__(
        self: "Writer[Rows]",
        store: Store,
        environment: str,
        limits: WriterLimits = ...,
        clock: Callable[[], float] = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        store: Store,
        environment: str,
        limits: WriterLimits = ...,
        clock: Callable[[], float] = ...,
        *,
        buffer: Callable[[], Buffer[R]],
    ) -> None: ...

    def __init__(
        self,
        store: Store,
        environment: str,
        limits: WriterLimits = WriterLimits(),
        clock: Callable[[], float] = time.time,
        buffer: Callable[[], Buffer[Any]] = Chunk,
    ) -> None:
        self._store = store
        self._environment = check_environment(environment)
        self._limits = limits
        self._clock = clock
        self._changed = threading.Condition()
        self._buffer = buffer
        self._filling: Buffer[R] = buffer()
        self._due = 0.0
        self._full: deque[Buffer[R]] = deque()
        self._stats = Stats()
        self._give_up_at: float | None = None
        self._away = False
        self._dropping = False
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)
        self._thread.start()

    @property
    def stats(self) -> Stats:
        """Return the counts of rows so far."""
        with self._changed:
            return self._stats

    def append(self, rows: R) -> None:
        """Add answered mails to the buffer; it takes microseconds, never waits and never fails because of the store."""
        with self._changed:
            if not len(self._filling):
                self._due = time.monotonic() + self._limits.flush_seconds
                self._changed.notify()
            before = len(self._filling)
            self._filling.add(rows, int(self._clock() * 1e6))
            self._count(waiting=len(self._filling) - before)
            if len(self._filling) >= self._limits.flush_rows:
                self._seal()
            while self._stats.waiting > self._limits.buffer_rows and self._full:
                self._drop(self._full.popleft())

    def close(self, patience_seconds: float) -> Stats:
        """Write the waiting rows for at most so many seconds and return the counts; nothing may be appended later."""
        with self._changed:
            self._give_up_at = time.monotonic() + patience_seconds
            self._changed.notify()
        # A write in progress cannot be interrupted; the thread does not keep the process alive.
        self._thread.join(patience_seconds + 0.5)
        found = self.stats
        if found.waiting:
            log.error("inference log closed with rows unwritten", extra={"rows": found.waiting})
        return found

    def _run(self) -> None:
        while (chunk := self._next()) is not None:
            try:
                files = chunk.files(self._environment)
            except Exception:
                # A chunk that cannot be encoded now never can be, but the next one may.
                log.exception("inference log: rows could not be encoded")
                with self._changed:
                    self._drop(chunk)
                continue
            for file in files:
                self._deliver(file)

    def _next(self) -> Buffer[R] | None:
        """Return the next rows to write once they are due; None if there will be none."""
        with self._changed:
            while not self._full:
                closing = self._give_up_at is not None
                if len(self._filling) and (closing or time.monotonic() >= self._due):
                    self._seal()
                elif closing:
                    return None
                else:
                    self._changed.wait(self._due - time.monotonic() if len(self._filling) else None)
            return self._full.popleft()

    def _seal(self) -> None:
        self._full.append(self._filling)
        self._filling = self._buffer()
        self._changed.notify()

    def _deliver(self, file: File) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._try(file):
            if not self._rest(pause * random.uniform(0.5, 1)):
                return
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _try(self, file: File) -> bool:
        # Use the same name each time: if a write succeeded but its answer was lost, the retry makes no second copy.
        try:
            self._store.write(file.path, file.data)
        except Exception as error:  # a store may raise anything, and this thread must outlive it
            self._note_failure(error)
            return False
        self._note_written(file)
        return True

    def _rest(self, seconds: float) -> bool:
        """Pause between two attempts; return False if it is time to give up."""
        with self._changed:
            now = time.monotonic()
            end = now + seconds
            while now < end and (self._give_up_at is None or now < self._give_up_at):
                self._changed.wait(min(end, self._give_up_at or end) - now)
                now = time.monotonic()
            return self._give_up_at is None or now < self._give_up_at

    def _note_failure(self, error: Exception) -> None:
        with self._changed:
            first = not self._away
            self._away = True
            self._count(failures=1)
        if first:
            bound = self._limits.buffer_rows
            log.warning("inference log: store is away, rows wait", extra={"reason": str(error), "up_to_rows": bound})

    def _note_written(self, file: File) -> None:
        with self._changed:
            back, self._away, self._dropping = self._away, False, False
            self._count(written=file.rows, waiting=-file.rows)
            found = self._stats
        if back:
            log.info("inference log: store is back", extra={"waiting": found.waiting, "dropped_in_all": found.dropped})

    def _drop(self, chunk: Buffer[R]) -> None:
        self._count(dropped=len(chunk), waiting=-len(chunk))
        if not self._dropping:
            self._dropping = True
            log.error("inference log: buffer full, oldest rows are dropped", extra={"rows": len(chunk)})

    def _count(self, written: int = 0, dropped: int = 0, waiting: int = 0, failures: int = 0) -> None:
        old = self._stats
        self._stats = replace(
            old,
            written=old.written + written,
            dropped=old.dropped + dropped,
            waiting=old.waiting + waiting,
            failures=old.failures + failures,
        )
