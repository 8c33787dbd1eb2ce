import signal
import sys
import time
from pathlib import Path

import pytest

from bench.servers import Servers, ended_by_signals, free_port

SERVE = """
import os, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
print("serving", flush=True)
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), SimpleHTTPRequestHandler).serve_forever()
"""
IGNORE_TERM = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
FORK = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"


def command(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def alive(group: int) -> bool:
    """Return whether any process of the group runs; a zombie does not count."""
    stats = [file.read_text().rpartition(")")[2].split() for file in Path("/proc").glob("[0-9]*/stat")]
    return any(int(fields[2]) == group and fields[0] != "Z" for fields in stats)


def test_a_server_is_waited_for_and_ended(tmp_path: Path) -> None:
    port = free_port()
    with Servers(tmp_path) as servers:
        server = servers.start("files", command(SERVE), port, {"PORT": str(port)}, "/")
        servers.wait_ready()
        assert alive(server.pid)
    assert not alive(server.pid)
    assert "serving" in server.tail()


def test_servers_end_when_the_run_fails(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(KeyboardInterrupt), Servers(tmp_path) as servers:
        server = servers.start("files", command(FORK + SERVE), port, {"PORT": str(port)}, "/")
        servers.wait_ready()
        raise KeyboardInterrupt
    end = time.monotonic() + 10
    while alive(server.pid):
        assert time.monotonic() < end, "a process that the server has started lives on"
        time.sleep(0.01)


def test_a_stubborn_server_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.servers.STOP_TIMEOUT", 0.3)
    port = free_port()
    with Servers(tmp_path) as servers:
        server = servers.start("files", command(IGNORE_TERM + SERVE), port, {"PORT": str(port)}, "/")
        servers.wait_ready()
    assert server.process.returncode == -signal.SIGKILL


def test_a_server_that_ends_is_shown_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="(?s)broken ended with status 3.*no such model"), Servers(tmp_path) as servers:
        servers.start("broken", command("print('no such model'); raise SystemExit(3)"), free_port(), {}, "/")
        servers.wait_ready()


def test_a_server_that_is_never_ready_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.servers.START_TIMEOUT", 0.3)
    with pytest.raises(SystemExit, match="mute is not ready"), Servers(tmp_path) as servers:
        servers.start("mute", command("import time; time.sleep(60)"), free_port(), {}, "/")
        servers.wait_ready()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_program_in_order(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit, match=str(128 + number)), ended_by_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before
