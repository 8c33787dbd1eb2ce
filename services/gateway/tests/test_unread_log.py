"""Gateway process whose standard output nobody reads, or is full, closed or gone."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

SECONDS = 60
REQUESTS = 6_000
"""Requests whose log lines exceed what may wait."""
PIPELINED = 50
BODY = b'{"email_content": "x"}'
HEAD = b"POST /api/v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX-Request-ID: " % len(BODY)
"""Head of a request whose transformer is away; each such answer is logged."""
MEBIBYTE = 1024 * 1024


def unread() -> tuple[int, int | None]:
    reader, writer = os.pipe()
    return writer, reader


def gone() -> tuple[int, int | None]:
    reader, writer = os.pipe()
    os.close(reader)
    return writer, None


def full() -> tuple[int, int | None]:
    return os.open("/dev/full", os.O_WRONLY), None


@contextmanager
def gateway(stdout: int) -> Iterator[tuple[subprocess.Popen[bytes], http.client.HTTPConnection]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"PORT": str(port), "HOST": "127.0.0.1", "ENVIRONMENTS": '{"staging": "http://127.0.0.1:9"}'}
    environ = {**os.environ, **own, "MAX_CONNECTION_SECONDS": "600"}
    process = subprocess.Popen([sys.executable, "-m", "gateway"], env=environ, stdout=stdout, stderr=subprocess.STDOUT)
    os.close(stdout)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        wait_until_it_listens(port, process)
        yield process, client
    finally:
        client.close()
        process.kill()
        process.wait()


def wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert process.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("the gateway does not listen")


def send(client: http.client.HTTPConnection, requests: int = REQUESTS) -> None:
    """Send requests with numbers as ids, and wait for all answers."""
    with socket.create_connection((client.host, client.port), SECONDS) as connection:
        for begin in range(0, requests, PIPELINED):
            numbers = range(begin, begin + PIPELINED)
            connection.sendall(b"".join(b"%b%0128d\r\n\r\n%b" % (HEAD, n, BODY) for n in numbers))
            answers = b""
            while answers.count(b"HTTP/1.1 50") < PIPELINED or not answers.endswith(b"}"):
                answers += (piece := connection.recv(1 << 20))
                assert piece, answers[-300:]


def ask(client: http.client.HTTPConnection, path: str, **headers: str) -> str:
    client.request("GET", path, headers=headers)
    answer = client.getresponse()
    assert answer.status in (200, 404)
    return answer.read().decode()


def dropped(client: http.client.HTTPConnection) -> int:
    (line,) = [x for x in ask(client, "/metrics").splitlines() if x.startswith("log_lines_dropped_total ")]
    return int(float(line.split()[1]))


def resident(process: subprocess.Popen[bytes]) -> int:
    with open(f"/proc/{process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize(("output", "requests"), [(unread, REQUESTS), (gone, 500), (full, 500)])
def test_serving_goes_on_memory_is_bounded_and_sigterm_ends_it(
    output: Callable[[], tuple[int, int | None]], requests: int
) -> None:
    stdout, reader = output()
    with gateway(stdout) as (process, client):
        send(client, 200)
        before = resident(process)
        send(client, requests)
        assert json.loads(ask(client, "/health")) == {"status": "alive"}
        assert dropped(client) > 100
        assert resident(process) - before < 10 * MEBIBYTE
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == -signal.SIGTERM
    if reader is not None:
        os.close(reader)


def test_once_it_is_read_again_every_request_has_a_line_or_is_counted() -> None:
    stdout, reader = unread()
    assert reader is not None
    with gateway(stdout) as (process, client), os.fdopen(reader, "rb") as log:
        send(client)
        lost, seen, told = dropped(client), [], 0
        while not told:
            line = json.loads(log.readline())
            told = line.get("lines", 0)
            seen += [int(line["request_id"])] if "request_id" in line else []
        assert told == lost >= REQUESTS - len(seen)
        assert seen == list(range(len(seen)))
        ask(client, "/after", **{"X-Request-ID": "after"})
        while json.loads(log.readline()).get("request_id") != "after":
            pass
        process.send_signal(signal.SIGTERM)
        *_, last = [json.loads(line) for line in log]
        assert last["message"].startswith("Finished server process")
