"""What all processes say, on one stream, a line each with its time and its process's name."""

import errno
import os
import queue
import select
import threading
import time
from collections.abc import Callable

COLOURS = ("36", "33", "32", "35", "34", "31")
QUEUED_LINES = 10_000
"""Lines that may wait for a slow reader; more are dropped and counted."""
LOOK_SECONDS = 0.5
"""How often the stream is looked at when there is nothing to write: its reader may have gone."""
GONE = select.POLLERR | select.POLLHUP


def open_standard_streams() -> None:
    """See that standard input, output and error are open: whoever closed them wants to read nothing.

    Other files would take their numbers otherwise, and be written to.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


class Output:
    """Writes lines in a thread of its own, so that nothing waits for whoever reads them."""

    def __init__(self, stream: int, names: list[str], when_gone: Callable[[], None]) -> None:
        """Begin to write.

        Args:
            stream: File descriptor.
            names: Of all processes, for the width of their column.
            when_gone: Called in the thread, once, when nobody can read the stream any more.
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
        """Write one line that a process has said."""
        begin = f"{time.strftime('%H:%M:%S')} {name:{self._width}} | "
        if self._coloured and name in self._colours:
            begin = f"\033[0;{self._colours[name]}m{begin}\033[0m"
        self.text(begin + text)

    def text(self, text: str) -> None:
        """Write text as it stands."""
        try:
            if self._dropped:
                self._lines.put_nowait(f"{self._dropped} lines were dropped: nobody read them in time\n".encode())
                self._dropped = 0
            self._lines.put_nowait(f"{text}\n".encode(errors="backslashreplace"))
        except queue.Full:
            self._dropped += 1

    def close(self, seconds: float) -> None:
        """Give what waits so many seconds to be written."""
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
            # A terminal that another process has set so.
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
