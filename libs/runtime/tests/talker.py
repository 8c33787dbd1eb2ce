"""Process that logs on command and reports on a socket what it has done.

`python talker.py PORT` connects to PORT, reads one command a line and answers each with one line.
"""

import logging
import resource
import socket
import sys
import warnings

from runtime import configure_logging, end_at_sigterm, stdout

log = logging.getLogger("talker")


def obey(command: str, number: int) -> object:
    match command:
        case "log":
            for n in range(number):
                log.info("line", extra={"n": n, "padding": "x" * 300})
        case "raw":
            for n in range(number):
                stdout().add(b'{"n": %d, "padding": "%b"}' % (n, b"x" * 300))
        case "long":
            log.info("line", extra={"n": 0, "padding": "x" * number})
        case "flush":
            return stdout().flush(number)
        case "print":
            print("printed\nto be\ncontinued", end="")
            print("printed to stderr", file=sys.stderr)
            warnings.warn("warned", stacklevel=1)
        case "raise":
            raise RuntimeError("uncaught")
        case "memory":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return stdout().dropped


def main() -> None:
    configure_logging()
    end_at_sigterm()
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as control, control.makefile("rw") as asked:
        for line in asked:
            command, number = line.split()
            asked.write(f"{obey(command, int(number))}\n")
            asked.flush()


if __name__ == "__main__":
    main()
