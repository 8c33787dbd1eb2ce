"""Tests of the cluster's suite that need no cluster: it can be imported, and every file has its place in the order."""

import subprocess
import sys
from pathlib import Path

from conftest import ROOT

SUITE = ROOT / "tests" / "e2e"


def collected(*more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir", ".", "--collect-only", "-q", ".", *more]
    return subprocess.run(command, cwd=SUITE, capture_output=True, text=True)


def test_every_file_has_its_place() -> None:
    done = collected()
    assert done.returncode == 0, done.stdout + done.stderr
    files = [line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line]
    order = list(dict.fromkeys(files))
    assert sorted(order) == sorted(path.name for path in SUITE.glob("test_*.py"))
    assert order[0] == "test_bootstrap.py" and order[-1] == "test_monitoring.py"


def test_a_file_without_a_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_odd.py").write_text("def test_odd(): pass\n")
    done = collected(str(tmp_path))
    assert done.returncode != 0 and "say in ORDER of conftest.py when these run: test_odd" in done.stderr
