"""Sink for log lines: a pipe, a file, a terminal, or a closed descriptor."""

import array
import errno
import fcntl
import os
import select
import stat
import termios
import time

PIECE_BYTES = 64 * 1024
"""Bytes of the largest write to anything but a pipe; the default capacity of a pipe."""
PIPE_BUF = select.PIPE_BUF
"""Bytes that a pipe accepts as a whole or not at all."""
PAGE_BYTES = 4096
"""Bytes of a pipe's slot, for the estimate of its free room."""
POLL_SECONDS = 0.01


class Sink:
    """A private file descriptor that takes whole lines.

    Writing may block for as long as nobody reads, so it needs its own thread. A pipe gets no more than it has room for.
    So a process that ends while nobody reads leaves no partial line behind.
    """

    def __init__(self, fd: int) -> None:
        self._fd = _own(fd)
        self._is_pipe = self._fd is not None and stat.S_ISFIFO(os.fstat(self._fd).st_mode)

    def room(self, least: int) -> int:
        """Wait until a line of `least` bytes fits; return how many bytes fit."""
        if self._fd is None or not self._is_pipe:
            return PIECE_BYTES
        capacity = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)
        while (free := self._free(capacity)) < min(max(least, 4 * PIPE_BUF), capacity):
            if least <= PIPE_BUF:
                self._wait_for_page()
                return PIPE_BUF
            time.sleep(POLL_SECONDS)
        return free

    def write(self, data: memoryview) -> int:
        """Write once; return how many bytes were taken.

        Raises:
            OSError: Nothing can be written now, for lack of space, a reader or a file.
        """
        if self._fd is None:
            raise OSError(errno.EBADF, "standard output is closed")
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            # Another process that shares this pipe has made it non-blocking.
            self._wait_for_page()
            return 0

    def _free(self, capacity: int) -> int:
        assert self._fd is not None
        unread = array.array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, unread)
        # Two adjacent slots of a pipe may each be half empty, and so may the one that is being read.
        return capacity if not unread[0] else capacity - 2 * unread[0] - 2 * PAGE_BYTES

    def _wait_for_page(self) -> None:
        assert self._fd is not None
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        # An error counts as room: the write will report it.
        poll.poll()


def _own(fd: int) -> int | None:
    """Duplicate a descriptor, so that nobody closes it; return None if it is closed already.

    A closed descriptor's number is given to the null device. Otherwise the next socket would get it, and whatever a
    library prints would go to a client.
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != fd:
            os.dup2(null, fd)
            os.close(null)
        return None
