"""Guard process: it becomes the given command, and cannot outlive the process that started it.

It is a script that runs before the command, because work between fork and exec is not safe in a process with threads.
Linux sends it the signal however the parent ends; on other systems only `keeper` ends it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Request the signal and run the command; arguments are the parent's process id and the command."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # The parent may have ended before the signal was requested.
    if os.getppid() == int(parent):
        os.execvp(command[0], command)


if __name__ == "__main__":
    main()
