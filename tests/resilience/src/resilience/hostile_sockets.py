"""Hostile requests over raw sockets: their answers, and what they leave in the logs of all processes."""

import json
import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

from corpus.hostile_requests import MARK, REQUESTS
from resilience.check import Check, at_most
from resilience.system import System

ANSWER_SECONDS = 20
FLUSH_SECONDS = 1.0
"""Seconds to wait for log lines, longer than the gateway buffers them."""


def run(system: System) -> list[Check]:
    """Send each request on its own connection."""
    wrong, split = [], []
    for name, (raw, statuses) in REQUESTS.items():
        head = exchange(system.url, raw).partition(b"\r\n\r\n")[0]
        if status_of(head) not in statuses:
            wrong.append(f"{name}: {status_of(head)}")
        if any(line.lstrip().startswith((MARK.encode(), b"{")) for line in head.split(b"\r\n")[1:]):
            split.append(name)
    time.sleep(FLUSH_SECONDS)
    lines = _bad_lines(system)
    return [
        at_most(
            "input: hostile requests with another status than described",
            len(wrong),
            0,
            "",
            "; ".join(wrong) or f"{len(REQUESTS)} sent",
        ),
        at_most("input: answers whose headers a client has split", len(split), 0, "", "; ".join(split)),
        at_most(
            "input: lines of log that are no JSON object or a client's own", len(lines), 0, "", "; ".join(lines[:3])
        ),
    ]


def exchange(url: str, raw: bytes) -> bytes:
    """Send a request and return the first bytes of the answer; empty if there is none."""
    where = urlsplit(url)
    answer = b""
    with socket.create_connection((where.hostname, where.port), timeout=ANSWER_SECONDS) as connection:
        # A server that refuses a request early closes the connection while it is still being sent.
        with suppress(OSError):
            connection.sendall(raw)
        with suppress(OSError):
            answer = connection.recv(1 << 20)
    return answer


def status_of(head: bytes) -> int:
    """Return the status of an answer; 0 if there is none."""
    version, _, rest = head.partition(b" ")
    return int(rest[:3]) if version.startswith(b"HTTP/1.") and rest[:3].isdigit() else 0


def _bad_lines(system: System) -> list[str]:
    """Return the lines that are not one JSON object of ours, split at every line end that a reader may know."""
    servers = [*system.predictors.values(), *system.transformers.values()]
    servers += [system.gateway] if system.gateway else []
    return [
        f"{server.name}: {line[:100]!r}"
        for server in servers
        for line in server.log.read_text(errors="replace").splitlines()
        if not _ours(line)
    ]


def _ours(line: str) -> bool:
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("message") != MARK
