"""Bounded queue of log lines, written by its own thread.

A caller never waits for the reader of the log. Without a reader, `QUEUED_BYTES` of lines wait and later ones are
dropped, and so are lines that an error keeps from being written. Dropped lines are counted. Once lines can be written
again, one line in their place says how many are missing.
"""

import errno
import os
import threading
from collections import deque
from collections.abc import Callable

from runtime.secrets import masked
from runtime.sink import Sink

QUEUED_BYTES = 2 * 1024 * 1024
"""Bytes of memory for waiting lines: about 5,000 lines of requests."""
LINE_BYTES = 80
"""Bytes of memory that a waiting line takes besides its text."""
GATHER_SECONDS = 0.1
"""Seconds that lines gather to be written together; a system call for each would cost as much as the line itself."""
RETRY_SECONDS = 0.5
"""Seconds to wait after an error before writing again."""
GAP = None
"""Marks the place in the queue where lines were dropped."""


class Lines:
    """Log lines on their way to a file descriptor; its methods may be called from any thread.

    Args:
        fd: File descriptor to write to; it is duplicated.
        tell: Returns the line that says how many were dropped.
    """

    def __init__(self, fd: int, tell: Callable[[int], bytes]) -> None:
        self._sink = Sink(fd)
        self._tell = tell
        self.dropped = 0
        """Lines dropped since the start."""
        self.error: OSError | None = None
        """The last write error."""
        self._untold = 0
        self._rest = b""
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """Start empty; after a fork, the queue and the thread belong to the parent."""
        # Reentrant: a signal handler or a finalizer may log in the middle of `add`.
        self._changed = threading.Condition(threading.RLock())
        self._hurry = threading.Event()
        self._queue: deque[bytes | None] = deque()
        self._bytes = 0
        self._busy, self._full, self._failing = False, False, False
        self._thread: threading.Thread | None = None

    def add(self, line: bytes) -> None:
        """Queue a line, without its line end and with API keys masked; drop it if there is no room."""
        line = masked(line)
        with self._changed:
            if self._full or self._bytes > QUEUED_BYTES:
                self._overflow()
                return
            # Copied: a JSON encoder's result may keep a buffer of 4 kB.
            self._queue.append(bytes(memoryview(line)))
            self._bytes += len(line) + LINE_BYTES
            if not self._busy:
                self._wake()

    def flush(self, seconds: float | None = None) -> bool:
        """Try to write all lines within this many seconds; return whether none waits any more."""
        with self._changed:
            self._failing = False
            self._hurry.set()
            self._changed.wait_for(lambda: self._failing or not self._busy, seconds)
            self._hurry.clear()
            return not self._busy

    def _wake(self) -> None:
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="log", daemon=True)
                thread.start()
                self._thread = thread
            self._busy = True
            self._changed.notify_all()
        except RuntimeError:
            # No thread can start now; the next line tries again.
            self._drop_all(0)

    def _overflow(self) -> None:
        """Drop this line and all that follow until the queue is written: one gap instead of many."""
        if not self._full:
            self._full = True
            self._queue.append(GAP)
        self._count(1)

    def _count(self, lines: int) -> None:
        self.dropped += lines
        self._untold += lines

    def _drop_all(self, more: int) -> None:
        """Drop all waiting lines, and count `more` lines that have left the queue."""
        self._count(more + sum(line is not GAP for line in self._queue))
        self._queue.clear()
        self._queue.append(GAP)
        self._bytes, self._full = 0, False

    def _run(self) -> None:
        changed = self._changed
        while True:
            with changed:
                changed.wait_for(lambda: self._busy)
            self._hurry.wait(RETRY_SECONDS if self._failing else GATHER_SECONDS)
            while self._write_some():
                pass

    def _write_some(self) -> bool:
        """Write as many lines as there is room for; return whether to continue."""
        with self._changed:
            least = len(self._queue[0] or b"") if self._queue else 0
        room = self._sink.room(len(self._rest) + least + 1)
        with self._changed:
            told = self._untold if self._queue and self._queue[0] is GAP else 0
            lines = self._take(room)
            if not lines and not told and not self._rest and not self._queue:
                self._busy, self._bytes = False, 0
                self._changed.notify_all()
                return False
        if told:
            lines = [self._tell(told)]
        return self._write(self._rest + b"\n".join([*lines, b""]), told)

    def _take(self, room: int) -> list[bytes]:
        """Take the lines that fit, or one that does not. A gap is taken alone and has no lines."""
        if self._queue and self._queue[0] is GAP:
            self._queue.popleft()
            self._full = GAP in self._queue
            return []
        lines: list[bytes] = []
        size = len(self._rest)
        while self._queue and (line := self._queue[0]) is not GAP:
            size += len(line) + 1
            if lines and size > room:
                break
            lines.append(line)
            self._queue.popleft()
        return lines

    def _write(self, data: bytes, told: int) -> bool:
        """Write whole lines; `told` is the number of dropped lines that the last of them reports."""
        view, done = memoryview(data), 0
        try:
            while done < len(data):
                done += self._sink.write(view[done:])
        except OSError as error:
            with self._changed:
                self._fail(data, done, told, error)
            return False
        with self._changed:
            self._rest, self._failing = b"", False
            self._untold -= told
            if not told:
                self._bytes = max(self._bytes - len(data) - LINE_BYTES * data.count(b"\n"), 0)
        return True

    def _fail(self, data: bytes, done: int, told: int, error: OSError) -> None:
        """Drop unwritten and waiting lines, except for the rest of a line that was partly written."""
        self.error = error
        whole, total = data.count(b"\n", 0, done), data.count(b"\n")
        within = done < len(self._rest) or (done > 0 and data[done - 1] != ord("\n"))
        # The next reader must not start in the middle of a line.
        begun = within and error.errno != errno.EPIPE
        self._rest = data[done : data.index(b"\n", done) + 1] if begun else b""
        lost = total - whole - begun
        if told and lost:
            # The last line is the report; it will be made again.
            lost -= 1
        else:
            self._untold -= told
        self._drop_all(lost)
        self._failing = True
        self._changed.notify_all()
