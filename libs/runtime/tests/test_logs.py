"""Server logs of processes whose standard output is full, closed, or read by nobody."""

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

TALKER = Path(__file__).parent / "talker.py"
SECONDS = 30
MANY = 20_000
"""Lines to log, several times as many as may wait."""
Open = Callable[[int], AbstractContextManager["Talker"]]


class Talker:
    """Process under test, and the connection that commands it."""

    def __init__(self, process: subprocess.Popen[bytes], control: TextIO) -> None:
        self.process = process
        self._control = control

    def told(self, command: str, number: int = 1) -> str:
        self._control.write(f"{command} {number}\n")
        self._control.flush()
        return self._control.readline().strip()

    def ended(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@contextmanager
def talker(stdout: int | None, **options: Any) -> Iterator[Talker]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, str(TALKER), str(server.getsockname()[1])]
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.STDOUT, **options)
        try:
            server.settimeout(SECONDS)
            accepted, _ = server.accept()
            accepted.settimeout(SECONDS)
            with accepted, accepted.makefile("rw") as control:
                yield Talker(process, control)
        finally:
            process.kill()
            process.wait()


@contextmanager
def piped(blocking: bool = True) -> Iterator[tuple[Talker, int]]:
    """Start a process that writes to a pipe; return it and the pipe's other end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    with talker(writer) as one:
        os.close(writer)
        try:
            yield one, reader
        finally:
            os.close(reader)


def read_to_end(reader: int) -> list[dict[str, Any]]:
    with os.fdopen(os.dup(reader), "rb") as file:
        return parsed(file.read())


def parsed(text: bytes) -> list[dict[str, Any]]:
    assert text.endswith(b"\n"), text[-200:]
    return [json.loads(line) for line in text.splitlines()]


def numbers(lines: list[dict[str, Any]]) -> list[int]:
    return [line["n"] for line in lines if "n" in line]


def lost(lines: list[dict[str, Any]]) -> list[int]:
    return [line["lines"] for line in lines if line.get("message", "").startswith("log lines dropped")]


def test_lines_are_written_in_order() -> None:
    with piped() as (one, reader):
        one.told("raw", 100)
        assert one.ended() == -signal.SIGTERM
        assert numbers(read_to_end(reader)) == list(range(100))


@pytest.mark.parametrize("command", ["log", "raw"])
def test_a_pipe_that_nobody_reads_stops_nothing(command: str) -> None:
    with piped() as (one, reader):
        before = int(one.told("memory"))
        dropped = int(one.told(command, MANY))
        assert dropped > MANY / 2
        assert int(one.told(command, MANY)) == dropped + MANY, "all of them, until it is read again"
        assert int(one.told("memory")) - before < 10 * 1024 * 1024
        assert one.ended() == -signal.SIGTERM
        lines = read_to_end(reader)
        assert numbers(lines) == list(range(len(lines)))


def test_a_pipe_that_is_read_again_gets_what_waited_and_how_many_are_missing() -> None:
    with piped() as (one, reader):
        dropped = int(one.told("raw", MANY))
        with open(os.dup(reader), "rb") as file:
            lines = [json.loads(file.readline()) for _ in range(MANY - dropped + 1)]
            one.told("raw", 3)
            lines += [json.loads(file.readline()) for _ in range(3)]
        assert numbers(lines) == [*range(MANY - dropped), 0, 1, 2]
        assert lost(lines) == [dropped] == lost(lines[-4:-3])


def test_a_slow_reader_gets_whole_lines() -> None:
    with piped() as (one, reader):
        dropped = int(one.told("raw", MANY))
        taken = b""
        while len(taken) < 1_000_000:
            taken += os.read(reader, 1000)
        assert one.ended() == -signal.SIGTERM
        while piece := os.read(reader, 1 << 20):
            taken += piece
        lines = parsed(taken)
        assert numbers(lines) == list(range(len(lines)))
        assert len(lines) < MANY - dropped


def test_a_line_longer_than_a_pipe_is_written() -> None:
    with piped() as (one, reader), open(os.dup(reader), "rb") as file:
        one.told("long", 200_000)
        one.told("raw", 1)
        assert [json.loads(file.readline())["n"] for _ in range(2)] == [0, 0]


def test_a_full_disk_drops_lines_and_goes_on() -> None:
    with open("/dev/full", "wb") as full, talker(full.fileno()) as one:
        one.told("log", 10)
        one.told("flush", SECONDS)
        assert int(one.told("log", 5)) == 10
        one.told("flush", SECONDS)
        assert int(one.told("log", 0)) == 15
        assert one.ended() == -signal.SIGTERM


def test_a_disk_that_has_room_again_gets_lines_again(tmp_path: Path) -> None:
    """A limit of the file's size stands for a full disk: one write is cut short, and the next fails."""
    file = tmp_path / "log"

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    with file.open("ab") as out, talker(out.fileno(), preexec_fn=small) as one:
        one.told("raw", 100)
        one.told("flush", SECONDS)
        dropped = int(one.told("raw", 0))
        assert 0 < dropped < 100
        assert file.stat().st_size == 10_000
        resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        one.told("raw", 5)
        one.told("flush", SECONDS)
        lines = parsed(file.read_bytes())
        assert numbers(lines) == [*range(100 - dropped), *range(5)]
        assert lost(lines) == [dropped]


def test_a_reader_that_has_gone_stops_nothing() -> None:
    reader, writer = os.pipe()
    with talker(writer) as one:
        os.close(writer)
        os.close(reader)
        one.told("raw", 10)
        one.told("flush", SECONDS)
        assert int(one.told("raw", MANY)) >= 10
        assert one.ended() == -signal.SIGTERM


def test_a_pipe_with_another_reader_begins_with_a_whole_line(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with talker(os.open(fifo, os.O_WRONLY)) as one:
        one.told("raw", 1000)
        select.select([reader], [], [], SECONDS)
        os.close(reader)
        one.told("flush", SECONDS)
        dropped = int(one.told("raw", 0))
        assert 0 < dropped < 1000
        with fifo.open("rb") as file:
            lines = [json.loads(file.readline()) for _ in range(1000 - dropped)]
            one.told("raw", 1)
            lines += [json.loads(file.readline()) for _ in range(2)]
        assert numbers(lines) == [*range(1000 - dropped), 0]
        assert lost(lines) == [dropped]


def test_a_closed_stdout_is_not_taken_by_another_file() -> None:
    with talker(None, preexec_fn=lambda: (os.close(1), os.close(2))) as one:
        assert os.readlink(f"/proc/{one.process.pid}/fd/1") == "/dev/null"
        one.told("raw", 10)
        one.told("flush", SECONDS)
        assert int(one.told("raw", 0)) == 10
        assert one.ended() == -signal.SIGTERM


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing() -> None:
    with piped(blocking=False) as (one, reader):
        one.told("raw", 1000)
        with open(os.dup(reader), "rb") as file:
            assert [json.loads(file.readline())["n"] for _ in range(1000)] == list(range(1000))


def test_whatever_python_writes_is_a_line_of_json() -> None:
    with piped() as (one, reader):
        one.told("print")
        one.told("raise")
        assert one.process.wait(SECONDS) == 1
        lines = read_to_end(reader)
        assert [line["message"] for line in lines[:3]] == ["printed", "to be", "printed to stderr"]
        assert "UserWarning: warned" in lines[3]["message"]
        assert "RuntimeError: uncaught" in lines[4]["exc_info"]
        assert lines[4]["level"] == "CRITICAL"
