"""Keeper process: it ends the processes of a supervisor that was killed.

Its standard input is a pipe that only the supervisor holds. However the supervisor ends, the pipe closes. A line `+ID`
reports a process group that has begun, a line `-ID` one that has ended.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 10.0
"""Seconds for processes to end by themselves: they finish requests and write the last rows of their logs."""
POLL_SECONDS = 0.05


def main() -> None:
    """Wait for the end of standard input, then end the process groups that are left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        change, group = line[0], int(line[1:])
        if change == "+":
            groups.add(group)
        else:
            groups.discard(group)
    end(groups)


def end(groups: set[int]) -> None:
    """Terminate process groups, and kill those that are still there after `GRACE_SECONDS`."""
    left = {group for group in groups if send(group, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = {group for group in left if send(group, 0)}
    for group in left:
        send(group, signal.SIGKILL)


def send(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether the group exists."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
