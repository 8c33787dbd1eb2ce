"""Tests of `make test`: it ends with the name of each test that failed, whatever happened to the others."""

import sys
from pathlib import Path

import pytest
import run

PASSES = "def test_passes(): pass\n"
FAILS = "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_odd(n): assert n % 2, 'even\\nsecond line'\n"
BREAKS = "import pytest\n@pytest.fixture\ndef broken(): raise OSError('no room')\ndef test_never(broken): pass\n"
DIES = "import os\ndef test_dies(): os._exit(7)\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project whose environment is this one."""
    monkeypatch.setattr(run, "ROOT", tmp_path)
    folder = tmp_path / "services" / "one"
    (folder / "tests").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\ntestpaths = ['tests']\n")
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return folder


def ended(project: Path, capfd: pytest.CaptureFixture[str], **tests: str) -> tuple[int, list[str]]:
    """Run these test files, and return the exit status and the lines that name failures."""
    for name, source in tests.items():
        (project / "tests" / f"{name}.py").write_text(source)
    options = ["--model", "m", "--corpus", "c", "--reports", str(project.parent / "reports")]
    status = run.main([*options, "services/one"])
    return status, [line for line in capfd.readouterr().out.splitlines() if line.startswith("FAILED services/one: ")]


def test_each_failing_test_is_named_with_its_reason(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, lines = ended(project, capfd, test_a=PASSES + FAILS, test_b=BREAKS)
    assert status == 1
    assert lines == [
        "FAILED services/one: tests/test_a.py::test_odd[2] - AssertionError: even",
        'FAILED services/one: tests/test_b.py::test_never - failed on setup with "OSError: no room"',
    ]


def test_a_file_that_cannot_be_imported_is_named(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, lines = ended(project, capfd, test_a=PASSES, test_c="import nowhere\n")
    assert status == 1
    assert lines == ["FAILED services/one: tests/test_c.py - ModuleNotFoundError: No module named 'nowhere'"]


def test_tests_that_end_before_they_are_through_are_named(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, lines = ended(project, capfd, test_a=DIES)
    assert (status, lines) == (
        1,
        ["FAILED services/one: the tests ended with status 7 before they were through; see above"],
    )


def test_a_project_without_an_environment_is_named(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / ".venv" / "bin" / "python").unlink()
    assert ended(project, capfd, test_a=PASSES)[0] == 1


def test_all_passed_is_said(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert ended(project, capfd, test_a=PASSES) == (0, [])


def test_an_old_report_says_nothing_of_this_run(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert ended(project, capfd, test_a=FAILS)[0] == 1
    assert ended(project, capfd, test_a=DIES)[1] == [
        "FAILED services/one: the tests ended with status 7 before they were through; see above"
    ]
