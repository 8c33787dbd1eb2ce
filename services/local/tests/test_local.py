import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.greeting import sample
from local.ports import PortError, check_free, ports

RUN = """
import sys
from pathlib import Path
from local.runner import runner
made = runner(Path(sys.argv[1]), "gateway", {"PATH": sys.argv[2]})
made.loop()
sys.exit(made.exit_code())
"""
WAIT_SECONDS = 15


@pytest.fixture
def start(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Start the runner on two sleeping processes; whatever a test leaves is ended."""
    (tmp_path / "Procfile").write_text("gateway: exec sleep 61\nstaging: exec sleep 62\n")
    command = [sys.executable, "-c", RUN, str(tmp_path / "Procfile"), os.environ["PATH"]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield [process]
    process.terminate()
    process.communicate(timeout=WAIT_SECONDS)


def pids(process: subprocess.Popen[str]) -> dict[str, int]:
    """Read the runner's output until both processes have started."""
    assert process.stdout is not None
    found: dict[str, int] = {}
    while len(found) < 2:
        line = process.stdout.readline()
        assert line, "the runner ended before its processes started"
        for name in ("gateway", "staging"):
            if f"{name} started (pid=" in line:
                found[name] = int(line.split("pid=")[1].split(")")[0])
    return found


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until_dead(pid: int) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while is_alive(pid):
        assert time.monotonic() < end, f"process {pid} lives on"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_process(start: list[subprocess.Popen[str]], number: signal.Signals) -> None:
    (process,) = start
    started = pids(process)
    process.send_signal(number)
    assert process.wait(WAIT_SECONDS) == 0
    for pid in started.values():
        wait_until_dead(pid)


def test_a_signal_during_the_start_ends_every_process(start: list[subprocess.Popen[str]]) -> None:
    (process,) = start
    assert process.stdout is not None
    # The moment between a process's start and the runner's hearing of it.
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (found := children.read_text().split()):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_SECONDS) == 0
    for pid in map(int, found):
        wait_until_dead(pid)


def test_a_dead_environment_is_named_and_the_gateway_lives_on(start: list[subprocess.Popen[str]]) -> None:
    (process,) = start
    started = pids(process)
    os.kill(started["staging"], signal.SIGKILL)
    assert process.stdout is not None
    while "staging stopped (rc=-9)" not in process.stdout.readline():
        assert process.poll() is None
    assert is_alive(started["gateway"])
    assert process.poll() is None


def test_a_dead_gateway_ends_the_rest_with_its_code(start: list[subprocess.Popen[str]]) -> None:
    (process,) = start
    started = pids(process)
    os.kill(started["gateway"], signal.SIGKILL)
    assert process.wait(WAIT_SECONDS) == 9
    wait_until_dead(started["staging"])


def test_a_busy_port_is_named_with_its_process_and_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        wanted = ports({"PREDICTOR_STAGING_PORT": str(number)})
        with pytest.raises(PortError, match=rf"port {number} of predictor-staging .* PREDICTOR_STAGING_PORT="):
            check_free([port for port in wanted if port.number == number])
    check_free([port for port in wanted if port.number == number])


def test_two_processes_cannot_share_a_port() -> None:
    with pytest.raises(PortError, match="PORT and TRANSFORMER_STAGING_PORT are both 8083"):
        ports({"PORT": "8083"})


@pytest.mark.parametrize("text", ["0", "65536", "http"])
def test_a_port_is_a_number(text: str) -> None:
    with pytest.raises(PortError, match=f"PORT={text} is no port"):
        ports({"PORT": text})


def test_the_greeting_finds_mail_in_either_layout(tmp_path: Path) -> None:
    for folder in ("easy-ham-1", "spam"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.json").write_text("{}")
        (tmp_path / folder / "2.txt").write_text("mail")
    assert sample(tmp_path, "ham") == tmp_path / "easy-ham-1" / "2.txt"
    assert sample(tmp_path, "spam") == tmp_path / "spam" / "2.txt"
