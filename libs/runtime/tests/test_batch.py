"""Batch programs whose standard output fails or is slow."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "batch_program.py"
SECONDS = 30


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def gone() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize(("stdout", "reason"), [(full, "No space left on device"), (gone, "Broken pipe")])
def test_what_cannot_be_written_is_said_once(stdout: Callable[[], int], reason: str, tmp_path: Path) -> None:
    result, fd = tmp_path / "result", stdout()
    done = subprocess.run(
        [sys.executable, PROGRAM, result], stdout=fd, stderr=subprocess.PIPE, text=True, timeout=SECONDS
    )
    os.close(fd)
    assert (done.returncode, result.read_text()) == (0, "result")
    assert done.stderr == f"batch_program.py: 2 lines could not be written to stdout: {reason}\n"


@pytest.mark.parametrize("closed", [(1,), (1, 2)])
def test_closed_streams_are_no_error(closed: tuple[int, ...], tmp_path: Path) -> None:
    result = tmp_path / "result"
    command = [sys.executable, str(PROGRAM), str(result)]
    redirected = " ".join(f"{fd}>&-" for fd in closed)
    done = subprocess.run(["sh", "-c", f'exec "$@" {redirected}', "sh", *command], capture_output=True, timeout=SECONDS)
    assert (done.returncode, result.read_text(), done.stdout) == (0, "result", b"")
    assert b"Traceback" not in done.stderr


def test_both_streams_may_be_full(tmp_path: Path) -> None:
    result, fd = tmp_path / "result", full()
    done = subprocess.run([sys.executable, PROGRAM, result], stdout=fd, stderr=fd, timeout=SECONDS)
    os.close(fd)
    assert (done.returncode, result.read_text()) == (0, "result")


def test_a_slow_reader_gets_everything(tmp_path: Path) -> None:
    result = tmp_path / "result"
    with subprocess.Popen([sys.executable, PROGRAM, result], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        assert process.poll() is None, "its line is longer than a pipe"
        *_, last = (first + process.stdout.read()).splitlines()
    assert (process.returncode, last.decode()) == (0, str(result))
