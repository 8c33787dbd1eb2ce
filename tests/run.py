"""Test runner: runs each project's tests in its own environment, and ends with the name of each test that failed.

It uses only the standard library, because it runs before any environment is known to be complete.
"""

import argparse
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHART = "charts/model-serving"
ENVIRONMENT_OF = {"tests/chart": "tests/system"}
"""Project whose environment runs the tests of a folder, by the folder that has none."""
NO_TESTS = 5
"""Exit status of pytest when it finds no test."""
REASON_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command line."""

    projects: list[str]
    reports: Path
    model: str
    corpus: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything and return the exit code: 0 if all tests passed, 1 if some did not, 130 after Ctrl-C."""
    options = _options(arguments)
    options.reports.mkdir(parents=True, exist_ok=True)
    failed: list[str] = []
    try:
        for name in options.projects:
            failed += run(name, options)
        failed += run_chart(options)
    except KeyboardInterrupt:
        failed.append("interrupted: the tests after this were not run")
    for line in failed:
        print(f"FAILED {line}", flush=True)
    if failed:
        return 130 if failed[-1].startswith("interrupted") else 1
    print(f"all tests passed: {' '.join(options.projects)} {CHART}")
    return 0


def run(name: str, options: Options) -> list[str]:
    """Run one project's tests and return a line for each that failed."""
    _say(f"test {name}")
    report = _report(name, options)
    project = ENVIRONMENT_OF.get(name, name)
    python = ROOT / project / ".venv" / "bin" / "python"
    command = [str(python), "-m", "pytest", "-q", "-c", f"{project}/pyproject.toml", "--rootdir", name]
    command += [f"--junit-xml={report}", "-o", "junit_family=xunit1", name]
    return _failures(name, _status(command, _environ(options)), report)


def run_chart(options: Options) -> list[str]:
    """Run the chart's unit tests if their tool is installed, and return a line for each that failed."""
    tool = ROOT / ".tools" / "bin" / "helm-unittest"
    if not tool.is_file():
        return []
    _say("test charts")
    report = _report(CHART, options)
    command = [str(tool), "--strict", "--output-type", "JUnit", "--output-file", str(report), CHART]
    return _failures(CHART, _status(command, _environ(options)), report)


def failing(report: Path) -> Iterator[str]:
    """Yield each test of a JUnit report that failed or could not run: its name, and the reason's first line."""
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        found = next((kind for name in ("failure", "error") if (kind := case.find(name)) is not None), None)
        if found is not None:
            yield f"{_name(case)} - {_reason(found)}"


def _name(case: ElementTree.Element) -> str:
    # A file that could not be imported has no class, so it counts as one test.
    if not case.get("classname"):
        return case.get("file") or case.get("name", "")
    return f"{case.get('file') or case.get('classname')}::{case.get('name')}"


def _reason(found: ElementTree.Element) -> str:
    """Return the first line of a test's failure, or the error of a file that cannot be imported."""
    said = [line.removeprefix("E ").strip() for line in (found.text or "").splitlines() if line.startswith("E ")]
    message = (found.get("message") or "").strip()
    if message == "collection failure" and said:
        message = said[-1]
    return next(iter(message.splitlines()), "no reason given")[:REASON_CHARACTERS]


def _failures(name: str, status: int, report: Path) -> list[str]:
    if status in (0, NO_TESTS):
        return []
    try:
        found = [f"{name}: {line}" for line in failing(report)]
    except (OSError, ElementTree.ParseError):
        found = []
    # A crash or a wrong option leaves no report.
    return found or [f"{name}: the tests ended with status {status} before they were through; see above"]


def _status(command: list[str], environ: dict[str, str]) -> int:
    try:
        return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 1


def _report(name: str, options: Options) -> Path:
    report = (options.reports / f"{name.replace('/', '-')}.xml").absolute()
    report.unlink(missing_ok=True)
    return report


def _environ(options: Options) -> dict[str, str]:
    path = f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    here = {"MODEL_DIR": os.path.realpath(options.model), "CORPUS_DIR": os.path.realpath(options.corpus)}
    return {**os.environ, **here, "PATH": path}


def _say(what: str) -> None:
    print(f"\033[1m==> {what}\033[0m", flush=True)


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("--model", required=True, help="folder of the bundle that tests serve")
    parser.add_argument("--corpus", required=True, help="folder of the mails that tests send")
    parser.add_argument("--reports", type=Path, required=True, help="folder for a JUnit report of each project")
    parser.add_argument("projects", nargs="+", help="folders of tests, each with an environment")
    found = parser.parse_args(arguments)
    return Options(found.projects, found.reports, found.model, found.corpus)


if __name__ == "__main__":
    sys.exit(main())
