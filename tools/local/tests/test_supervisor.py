"""Tests of the supervisor: however it ends, no process stays."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from local import keeper
from local.supervisor import read_procfile

RUN = """
import asyncio, os, sys
from pathlib import Path
from local.output import open_standard_streams
from local.supervisor import Plan, Supervisor, read_procfile
open_standard_streams()
procfile = Path(sys.argv[1])
plan = Plan(read_procfile(procfile), "gateway", dict(os.environ), procfile.parent, "with-parent" in sys.argv)
os._exit(asyncio.run(Supervisor(plan).run()))
"""
QUIET = "gateway: exec sleep 61\nstaging: exec sleep 62\n"
WAIT_SECONDS = 30
Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Yield a function that starts the supervisor on a Procfile; whatever a test leaves is ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(procfile: str = QUIET, *options: str, before: str = "", **popen: object) -> subprocess.Popen[str]:
        (tmp_path / "Procfile").write_text(procfile)
        command = [sys.executable, "-c", RUN, str(tmp_path / "Procfile"), *options]
        if before:
            command = ["/bin/sh", "-c", f'{before} "$@"', "sh", *command]
        streams = {"stdout": subprocess.PIPE, **popen}
        started.append(subprocess.Popen(command, text=True, **streams))  # type: ignore[call-overload]
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        if process.stdout and not process.stdout.closed:
            process.communicate(timeout=WAIT_SECONDS)
        process.wait()


@pytest.fixture
def start(run: Run) -> list[subprocess.Popen[str]]:
    """Return the supervisor of two sleeping processes."""
    return [run()]


def pids(process: subprocess.Popen[str]) -> dict[str, int]:
    """Read the supervisor's output until both processes have started."""
    assert process.stdout is not None
    found: dict[str, int] = {}
    while len(found) < 2:
        line = process.stdout.readline()
        assert line, "the supervisor ended before its processes started"
        for name in ("gateway", "staging"):
            if f"{name} started (pid=" in line:
                found[name] = int(line.split("pid=")[1].split(")")[0])
    return found


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def until(found: Callable[[], object], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not found():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def wait_until_dead(pid: int) -> None:
    until(lambda: not is_alive(pid), f"process {pid} lives on")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_every_process(start: list[subprocess.Popen[str]], number: signal.Signals) -> None:
    (process,) = start
    started = pids(process)
    process.send_signal(number)
    assert process.wait(WAIT_SECONDS) == 0
    for pid in started.values():
        wait_until_dead(pid)


def test_a_signal_during_the_start_ends_every_process(start: list[subprocess.Popen[str]]) -> None:
    (process,) = start
    # This is the moment between a process's start and the supervisor's next step.
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (found := children.read_text().split()):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.wait(WAIT_SECONDS)
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


def all_end(started: dict[str, int]) -> None:
    for pid in started.values():
        wait_until_dead(pid)


def test_a_killed_supervisor_takes_every_process_along(start: list[subprocess.Popen[str]]) -> None:
    started = pids(start[0])
    start[0].kill()
    all_end(started)


def test_a_killed_supervisor_takes_what_its_processes_have_started_along(run: Run) -> None:
    process = run("gateway: exec sleep 61\nstaging: sleep 62 & echo child=$!; wait\n")
    started = pids(process)
    assert process.stdout is not None
    while "child=" not in (line := process.stdout.readline()):
        assert line
    process.kill()
    all_end({**started, "child": int(line.split("child=")[1])})


def test_a_reader_that_goes_ends_every_process_however_quiet_they_are(start: list[subprocess.Popen[str]]) -> None:
    started = pids(start[0])
    assert start[0].stdout is not None
    start[0].stdout.close()
    all_end(started)
    assert start[0].wait(WAIT_SECONDS) == 0


def test_a_reader_that_goes_ends_every_process_however_much_they_say(run: Run) -> None:
    process = run("gateway: exec yes\nstaging: exec sleep 62\n")
    started = pids(process)
    assert process.stdout is not None
    process.stdout.close()
    all_end(started)


def test_nobody_reading_keeps_no_process_alive(run: Run) -> None:
    process = run("gateway: exec yes\nstaging: exec sleep 62\n")
    started = pids(process)
    # The pipe is soon full.
    until(lambda: "yes" in Path(f"/proc/{started['gateway']}/comm").read_text(), "it does not say anything")
    process.terminate()
    all_end(started)
    assert process.wait(WAIT_SECONDS) == 0


def test_a_closed_output_is_no_end(run: Run) -> None:
    process = run("gateway: echo $$ > gateway; exec sleep 61\nstaging: exec sleep 62\n", before="exec >&-; exec")
    until((folder := Path(process.args[-1]).parent / "gateway").exists, "it has not started")  # type: ignore[index]
    until(folder.read_text, "it has not started")
    assert process.poll() is None
    process.terminate()
    assert process.wait(WAIT_SECONDS) == 0
    wait_until_dead(int(folder.read_text()))


def test_a_parent_that_is_killed_takes_every_process_along(run: Run) -> None:
    # The shell stays alive, as make does.
    shell = run(QUIET, "with-parent", before=":;")
    started = pids(shell)
    shell.kill()
    all_end(started)


def test_what_is_told_to_ignore_the_terminals_end_does(run: Run) -> None:
    process = run(QUIET, before="trap '' HUP; exec")
    started = pids(process)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert "SIGTERM received" in process.stdout.read()
    all_end(started)


def test_one_that_does_not_end_is_killed_by_a_second_ctrl_c(run: Run) -> None:
    # The gateway last: its word must not come while the other process starts, where `pids` would read past it.
    process = run("staging: exec sleep 62\ngateway: trap '' TERM; echo deaf; while :; do sleep 0.1; done\n")
    started = pids(process)
    assert process.stdout is not None
    while "deaf" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    while "sending SIGTERM to gateway" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_SECONDS) == 0
    all_end(started)


@pytest.mark.parametrize("ends", [True, False])
def test_the_keeper_ends_what_has_not_ended(ends: bool) -> None:
    kept = subprocess.Popen(["sleep", "60"], start_new_session=True)
    # A group exists until its last process has been waited for, which init would do.
    reaper = threading.Thread(target=kept.wait)
    reaper.start()
    try:
        watch = subprocess.Popen([sys.executable, "-I", "-S", keeper.__file__], stdin=subprocess.PIPE)
        watch.communicate(f"+{kept.pid}\n".encode() + (b"" if ends else f"-{kept.pid}\n".encode()), WAIT_SECONDS)
        assert (kept.poll() is not None) is ends
    finally:
        kept.kill()
        reaper.join()


def test_the_keeper_kills_what_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "GRACE_SECONDS", 0.1)
    deaf = [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"]
    with subprocess.Popen(deaf, start_new_session=True, stdout=subprocess.PIPE) as kept:
        assert kept.stdout is not None
        kept.stdout.readline()
        keeper.end({kept.pid})
        assert kept.wait(WAIT_SECONDS) == -signal.SIGKILL


def test_long_lines_and_bytes_that_are_no_text_are_passed_on(run: Run) -> None:
    process = run(
        "gateway: printf 'a\\377b\\n'; head -c 200000 /dev/zero | tr '\\0' x; echo; exec sleep 1\nstaging: :\n"
    )
    assert process.stdout is not None
    text = process.stdout.read()
    assert "| a\ufffdb\n" in text and text.count("x") >= 200_000


def test_a_procfile_has_a_command_for_each_name(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("# comment: no\none: exec a b:c\n\n two : d\n")
    assert read_procfile(tmp_path / "Procfile") == {"one": "exec a b:c", "two": "d"}
