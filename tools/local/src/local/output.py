"""Output of all processes on one stream; each line has its time and the name of its process."""

import errno
import os
import queue
import select
import threading
import time
from collections.abc import Callable

COLOURS = ("36", "33", "32", "35", "34", "31")
QUEUED_LINES = 10_000
"""Most lines that may wait for a slow reader; further ones are dropped and counted."""
LOOK_SECONDS = 0.5
"""Seconds between two checks for a reader that has gone, while there is nothing to write."""
GONE = select.POLLERR | select.POLLHUP


def open_standard_streams() -> None:
    """Open standard input, output and error as the null device where they are closed.

    Otherwise other files would get their numbers, and output would go into those files.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


class Output:
    """Writer of lines in its own thread, so that nothing waits for a slow reader."""

    def __init__(self, stream: int, names: list[str], when_gone: Callable[[], None]) -> None:
        """Begin to write.

        Args:
            stream: File descriptor.
            names: Names of all processes; they determine the width of the name column.
            when_gone: Called once, in the writing thread, when nobody can read the stream any more.
        """
        self._stream = stream
        self._width = max(map(len, ["system", *names]))
        self._colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
        self._coloured = _is_terminal(stream) and "NO_COLOR" not in os.environ
        self._when_gone = when_gone
        self._lines: queue.Queue[bytes | None] = queue.Queue(QUEUED_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_all, daemon=True)
        self._thread.start()

    def line(self, name: str, text: str) -> None:
        """Write one line of a process."""
        begin = f"{time.strftime('%H:%M:%S')} {name:{self._width}} | "
        if self._coloured and name in self._colours:
            begin = f"\033[0;{self._colours[name]}m{begin}\033[0m"
        self.text(begin + text)

    def text(self, text: str) -> None:
        """Write text unchanged."""
        try:
            if self._dropped:
                self._lines.put_nowait(f"{self._dropped} lines were dropped: nobody read them in time\n".encode())
                self._dropped = 0
            self._lines.put_nowait(f"{text}\n".encode(errors="backslashreplace"))
        except queue.Full:
            self._dropped += 1

    def close(self, seconds: float) -> None:
        """Write the waiting lines for at most so many seconds, then stop."""
        try:
            self._lines.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _write_all(self) -> None:
        try:
            while (line := self._next()) is not None:
                _write(self._stream, line)
        except OSError:
            self._when_gone()
            self._discard()

    def _next(self) -> bytes | None:
        while True:
            try:
                return self._lines.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if _has_no_reader(self._stream):
                    raise BrokenPipeError(errno.EPIPE, "nobody reads") from None

    def _discard(self) -> None:
        while self._lines.get() is not None:
            pass


def _write(stream: int, content: bytes) -> None:
    while content:
        try:
            content = content[os.write(stream, content) :]
        except BlockingIOError:
            # Another process has made the terminal non-blocking, so wait until it accepts more.
            select.select([], [stream], [], LOOK_SECONDS)


def _has_no_reader(stream: int) -> bool:
    poll = select.poll()
    poll.register(stream, 0)
    return any(events & GONE and not events & select.POLLNVAL for _, events in poll.poll(0))


def _is_terminal(stream: int) -> bool:
    try:
        return os.isatty(stream)
    except OSError:
        return False
