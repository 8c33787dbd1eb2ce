"""Tests of `make run`: however it ends, none of the real processes stays."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, free_port

SECONDS = 60
PORTS = (
    *("PORT", "PREDICTOR_STAGING_PORT", "PREDICTOR_PRODUCTION_PORT"),
    *("TRANSFORMER_STAGING_PORT", "TRANSFORMER_PRODUCTION_PORT"),
)
NAMES = ("gateway", "predictor-staging", "predictor-production", "transformer-staging", "transformer-production")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(found: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.fixture
def shell(tmp_path: Path, model: Path, corpus: Path) -> Iterator[Callable[[str], "subprocess.Popen[bytes]"]]:
    """Yield a function that runs a line of shell in its own process group; LOCAL is the command of `make run`."""
    options = ["--procfile", ROOT / "Procfile", "--model", model, "--corpus", corpus, "--with-parent"]
    command = shlex.join(map(str, [ROOT / "tools/local/.venv/bin/local", *options]))
    environ = {**os.environ, **{name: str(free_port()) for name in PORTS}}
    started: list[subprocess.Popen[bytes]] = []

    def run(line: str) -> "subprocess.Popen[bytes]":
        line = line.replace("LOCAL", command)
        # The shell stays alive, as make does.
        started.append(
            subprocess.Popen(["bash", "-c", f"{line}; :"], cwd=tmp_path, env=environ, start_new_session=True)
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def pids(log: Path) -> list[int]:
    """Return the processes that the log says have started."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(line.split("started (pid=")[1].rstrip(")")) for line in lines if "started (pid=" in line]


@pytest.mark.parametrize("how", ["Ctrl-C", "kill -9", "terminal closed", "SIGTERM"])
def test_no_process_stays(shell: Callable[[str], "subprocess.Popen[bytes]"], tmp_path: Path, how: str) -> None:
    log = tmp_path / "log"
    process = shell("LOCAL | tee log > /dev/null")
    until(lambda: len(pids(log)) == len(NAMES), "not all have started")
    started = pids(log)
    if how == "kill -9":
        process.kill()
    else:
        number = {"Ctrl-C": signal.SIGINT, "terminal closed": signal.SIGHUP, "SIGTERM": signal.SIGTERM}[how]
        os.killpg(process.pid, number)
    until(lambda: not any(map(is_alive, started)), "a process stays")


def test_no_process_stays_when_the_reader_goes(
    shell: Callable[[str], "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    process = shell("LOCAL | head -n 5 > log")
    until(lambda: len(pids(tmp_path / "log")) == len(NAMES), "not all have started")
    until(lambda: not any(map(is_alive, pids(tmp_path / "log"))), "a process stays")
    assert process.wait(SECONDS) == 0
