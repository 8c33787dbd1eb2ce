import http.client
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import tracing, wrk
from bench.servers import free_port
from bench.systems import System
from bench.tracing import Round
from bench.wrk import WrkFigures


def test_a_machine_that_slows_down_all_the_time_does_not_matter() -> None:
    rounds = [Round(0.01 * (i % 2), (100 + 5 * i) * (1.02 if i % 2 else 1), 0) for i in range(41)]
    assert tracing.overhead(rounds) == pytest.approx(1.02, abs=0.002)


def test_one_round_that_was_disturbed_does_not_matter() -> None:
    rounds = [Round(0.01 * (i % 2), 102.0 if i % 2 else 100.0, 0) for i in range(20)]
    rounds[5] = Round(0.01, 500.0, 0)
    assert tracing.overhead(rounds) == pytest.approx(1.02)


def test_the_collector_takes_what_is_posted() -> None:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.collector"], env=os.environ | {"PORT": str(port)})
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                connection.connect()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        for _ in range(2):
            connection.request("POST", "/v1/traces", b"spans")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
        connection.close()
    finally:
        process.kill()
        process.wait()


def test_a_round_in_which_nothing_is_traced_ends_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(wrk, "run", lambda *_: WrkFigures(1500, 0, 2.0, 1.0, 2.0))
    system = System("ours", 3, (), "/", str, float)
    monkeypatch.setattr(System, "base", "http://127.0.0.1:1")
    with pytest.raises(SystemExit, match="1500 mails in 2 s are too few"):
        tracing.measure(system, tmp_path, 2, 0.01)
