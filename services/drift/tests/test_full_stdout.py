"""Tests of the command as a process whose standard output cannot be written."""

import subprocess
import sys

import pytest
from conftest import World, mails


@pytest.mark.parametrize("options", [[], ["--environment", ""]])
def test_the_work_is_done_and_the_exit_code_says_so(world: World, options: list[str]) -> None:
    world.log(mails(300, seed=2))
    command = [sys.executable, "-m", "drift", *options]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == (2 if options else 0)
    assert world.report("report.json").exists() == (not options)
    assert done.stderr.endswith("lines could not be written to stdout: No space left on device\n")
    assert len(done.stderr.splitlines()) == 1
