"""Becomes the command given, as a process that does not outlive the one that started it.

Run as a script and before the command, because what must happen between fork and exec is not safe in a process with
threads. Linux sends the signal whatever way the other ends; elsewhere `keeper` alone sees to it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Arguments: process id of the parent, then the command."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have ended before it was asked for the signal.
    if os.getppid() == int(parent):
        os.execvp(command[0], command)


if __name__ == "__main__":
    main()
