"""Model server whose standard output nobody reads for a while."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

SERVER = Path(__file__).parent / "echo_server.py"
SECONDS = 60
REQUESTS = 1_200
VALUE = "x" * 2000


def body(n: int) -> dict[str, object]:
    return {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": [f"{n} {VALUE}"]}]}


def wait_until_it_serves(http: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            http.get("/v2/health/live")
        except httpx.ConnectError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the server does not answer")


def test_serving_goes_on_and_every_line_is_written_or_counted() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, SERVER, str(port)], stdout=writer, stderr=subprocess.STDOUT)
    os.close(writer)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as http, os.fdopen(reader, "rb") as log:
            wait_until_it_serves(http, process)
            for n in range(REQUESTS):
                assert http.post("/v2/models/echo/infer", json=body(n)).status_code == 200
            assert http.get("/v2/health/live").json() == {"live": True}
            metrics = http.get("/metrics").text
            (lost,) = [float(x.split()[1]) for x in metrics.splitlines() if x.startswith("log_lines_dropped_total ")]
            asked, told = 0, 0
            while not told:
                line = json.loads(log.readline())
                asked += line["message"] == "asked"
                told = line.get("lines", 0)
            assert 0 < told == lost == REQUESTS - asked
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) in (0, -signal.SIGTERM)
            assert [json.loads(line)["level"] for line in log]
    finally:
        process.kill()
        process.wait()


def test_sigterm_ends_a_server_whose_log_nobody_reads() -> None:
    reader, writer = os.pipe()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, SERVER, str(port)], stdout=writer, stderr=subprocess.STDOUT)
    os.close(writer)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as http:
            wait_until_it_serves(http, process)
            for n in range(50):
                assert http.post("/v2/models/echo/infer", json=body(n)).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
        os.close(reader)
