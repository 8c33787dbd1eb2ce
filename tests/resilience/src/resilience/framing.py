"""Request framing: clients that try to have one request taken for two, directly and through proxies.

It also checks the memory that one client can occupy.
"""

import asyncio
import re
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from bench.servers import Server, Servers
from corpus import proxies, smuggling
from resilience.check import Check, at_most
from resilience.flood import metrics, resident_bytes
from resilience.part import Plan, say
from resilience.system import System

CLIENTS = 32
REQUESTS = 200
"""Requests of each client on each way."""
PIPELINING = 30
"""Connections that send further requests behind one that waits."""
PIPELINED_BYTES = 8 << 20
"""Least bytes of all these connections together; each sends until nothing more is accepted."""
HEADS = 500
"""Connections that send a head with thousands of headers."""
GROWTH_BYTES = 64 << 20
"""Largest growth of the gateway's memory in bytes, MAX_WAITING_BYTES."""
LOOK_SECONDS = 4.0
"""Seconds for which memory is watched; a waiting request meets its deadline after ten."""
FLUSH_SECONDS = 1.0
"""Seconds to wait for log lines, longer than the gateway buffers them."""
COUNT = re.compile(r"^http_request_duration_seconds_count\{.*\} (\S+)$", re.MULTILINE)
TINY = b"GET /health HTTP/1.1\r\nHost:\r\n\r\n"
MAIL = smuggling.mail(b"waits", "See you at ten.")
HEAD = b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"a:b\r\n" * 12_000
"""Head without its end, within the limit of bytes."""


def run(plan: Plan) -> list[Check]:
    """Run all checks over one system."""
    folder = plan.folder("framing")
    with Servers(folder / "logs") as servers:
        system = System(servers, plan.model)
        system.start()
        servers.wait_ready()
        address = urlsplit(system.url).netloc
        checks = _way(system, "directly", address)
        for name in ("nginx", "haproxy"):
            if name not in proxies.installed():
                say(f"framing: {name} is not installed, so nothing is sent through it")
                checks.append(Check(f"framing: through {name}", "sent", "not installed", ok=False))
                continue
            with proxies.proxy(name, address, folder / name) as through:
                checks += _way(system, f"through {name}", through)
        checks.append(_smuggled(system))
        return [*checks, *_memory(system)]


def _way(system: System, way: str, address: str) -> list[Check]:
    before = _counted(system)
    told = asyncio.run(smuggling.clients(address, CLIENTS, REQUESTS, way.replace(" ", "-")))
    counted = _counted(system) - before
    say(f"framing: {told.statuses.total():,} answers {way}")
    sent = CLIENTS * REQUESTS
    crossed = f"of {told.statuses.total():,} answers" + "".join(f"; {each}" for each in told.crossed[:3])
    return [
        at_most(f"framing: answers that are another client's, {way}", len(told.crossed), 0, "", crossed),
        at_most(f"framing: requests without an answer, {way}", told.lost, 0),
        at_most(f"framing: counted but not sent, {way}", abs(counted - sent), 0, "", f"{sent:,} sent"),
    ]


def _counted(system: System) -> float:
    return sum(float(value) for value in COUNT.findall(metrics(system.url)))


def _smuggled(system: System) -> Check:
    """Check that no log line is about a request hidden in a body."""
    time.sleep(FLUSH_SECONDS)
    assert system.gateway
    found = system.gateway.log.read_text(errors="replace").count(f'"{smuggling.SMUGGLED.decode()}')
    return at_most("framing: logged requests that stood in bodies", found, 0)


def _memory(system: System) -> list[Check]:
    with _stopped(system.predictors["staging"]):
        behind = _growth(system, [MAIL + TINY * (PIPELINED_BYTES // len(TINY) // PIPELINING)] * PIPELINING)
    heads = _growth(system, [HEAD] * HEADS)
    mebi = 1 << 20
    limit = GROWTH_BYTES / mebi
    return [
        at_most(
            "framing: memory for requests behind one that waits",
            behind / mebi,
            limit,
            "MiB",
            f"{PIPELINING} connections, {PIPELINED_BYTES / mebi:.0f} MiB",
        ),
        at_most("framing: memory for heads of 12,000 headers", heads / mebi, limit, "MiB", f"{HEADS} connections"),
    ]


@contextmanager
def _stopped(server: Server) -> Iterator[None]:
    """Stop a process while the context is open."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def _growth(system: System, sent: Sequence[bytes]) -> int:
    """Open a connection for each item, send what is accepted of it, and return the growth of the gateway's memory."""
    assert system.gateway
    before = most = resident_bytes(system.gateway.pid)
    at = urlsplit(system.url)
    assert at.hostname and at.port
    sockets = [socket.create_connection((at.hostname, at.port)) for _ in sent]
    left = [memoryview(each) for each in sent]
    end = time.monotonic() + LOOK_SECONDS
    for sock in sockets:
        sock.setblocking(False)
    while time.monotonic() < end:
        for n, sock in enumerate(sockets):
            # A full socket is tried again later; a closed one is finished.
            with suppress(OSError):
                left[n] = left[n][sock.send(left[n]) :] if left[n] else left[n]
        most = max(most, resident_bytes(system.gateway.pid))
        time.sleep(0.01)
    for sock in sockets:
        sock.close()
    return most - before
