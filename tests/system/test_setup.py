"""Tests of interrupted and parallel set-ups: whatever happens, the next `make` completes the result."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "setup"))
setup_once = importlib.import_module("once")
PROJECT = "libs/corpus"
STAMP = f"{PROJECT}/.venv/.ready"
SECONDS = 300
"""Seconds for the environment of one small project, on a busy machine."""


class Checkout:
    """Copy of what makes one small environment, in a folder with a space and an umlaut in its name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "my ch\u00e9ckout"
        (self.folder / "services").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "uv.lock", "setup"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, self.folder / name)
        # The Makefile looks at these too.
        shutil.copy(ROOT / "services/base.Dockerfile", self.folder / "services")
        for source in [*ROOT.glob("libs/*/src"), *ROOT.glob("tools/*/src")]:
            package = source.parent.relative_to(ROOT)
            (self.folder / package / "src").mkdir(parents=True)
            shutil.copy(ROOT / package / "pyproject.toml", self.folder / package)
        ignored = shutil.ignore_patterns(".venv", ".*_cache")
        shutil.copytree(ROOT / PROJECT, self.folder / PROJECT, ignore=ignored, dirs_exist_ok=True)

    @property
    def venv(self) -> Path:
        return self.folder / PROJECT / ".venv"

    def make(self, *goals: str, **environ: str) -> "subprocess.Popen[str]":
        """Start make on the environment, with the uv that is installed."""
        tools = [f"UV={ROOT}/.tools/bin/uv", "UV_READY=setup/once.py"]
        command = ["make", "--no-print-directory", *tools, *(goals or [STAMP])]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def made(self, *goals: str, **environ: str) -> str:
        """Make it to the end, and return the output."""
        with self.make(*goals, **environ) as process:
            said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, said
        return said

    def missing(self) -> list[str]:
        """Return files that installed packages list but that are missing."""
        packages = next((self.venv / "lib").glob("python*/site-packages"))
        records = [record.read_text().splitlines() for record in packages.glob("*.dist-info/RECORD")]
        listed = [line.rsplit(",", 2)[0] for record in records for line in record]
        assert len(listed) > 100
        return [name for name in listed if not (packages / name.strip('"')).exists()]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def until(found: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait for a state of the set-up; fail if the set-up ends first."""
    end = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.001)


def descendants(pid: int) -> list[int]:
    """Return a process and everything that it has started."""
    children = []
    with suppress(OSError):
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid, *(each for child in children for each in descendants(child))]


def named(pid: int, name: str) -> int:
    """Return the descendant that runs a program; 0 if there is none."""
    for each in descendants(pid):
        with suppress(OSError):
            if Path(f"/proc/{each}/comm").read_text().strip() == name:
                return each
    return 0


def interrupt(process: "subprocess.Popen[str]", how: str) -> None:
    if how == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
    elif how == "terminal closed":
        os.killpg(process.pid, signal.SIGHUP)
    elif how == "kill -9 of all":
        for each in descendants(process.pid):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
    elif how == "kill -9 of make":
        process.kill()
    elif how == "kill -9 of uv":
        os.kill(named(process.pid, "uv"), signal.SIGKILL)
    process.communicate(timeout=SECONDS)


@pytest.mark.parametrize(
    ("state", "how"),
    [
        ("*/bin/python", "Ctrl-C"),
        ("*/lib/python*/site-packages/*", "kill -9 of uv"),
        ("*/lib/python*/site-packages/*.dist-info", "kill -9 of make"),
        ("*/lib/python*/site-packages/*.dist-info", "kill -9 of all"),
        ("*/lib/python*/site-packages/*.dist-info", "terminal closed"),
    ],
)
def test_an_interrupted_environment_is_made_whole_by_the_next_make(checkout: Checkout, state: str, how: str) -> None:
    process = checkout.make()
    until(lambda: any((checkout.folder / PROJECT).glob(f".venv{state[1:]}")) and named(process.pid, "uv"), process)
    interrupt(process, how)
    assert process.returncode != 0
    assert not (checkout.folder / STAMP).exists()
    checkout.made()
    assert checkout.missing() == []


def test_two_at_once_wait_for_each_other_and_say_so(checkout: Checkout) -> None:
    first = checkout.make()
    until(lambda: named(first.pid, "uv"), first)
    said = checkout.made()
    assert f"waiting for another make that sets up environment of {PROJECT} here (process " in said
    assert first.wait(SECONDS) == 0
    first.communicate()
    assert checkout.missing() == []
    assert "==>" not in said, "the second has nothing to do"


def test_what_is_true_is_not_made_again(checkout: Checkout) -> None:
    checkout.made()
    assert "up to date" in checkout.made()
    (checkout.folder / "uv.lock").touch()
    assert "==>" not in checkout.made(), "the same content"


def break_python(checkout: Checkout) -> None:
    (checkout.venv / "bin" / "python").unlink()
    (checkout.venv / "bin" / "python").symlink_to("/usr/bin/python-that-has-been-removed")


def break_package(checkout: Checkout) -> None:
    shutil.rmtree(next(checkout.venv.glob("lib/python*/site-packages/pytest")))


def break_script(checkout: Checkout) -> None:
    (checkout.venv / "bin" / "pytest").unlink()


def move(checkout: Checkout) -> None:
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))


def forge_stamp(checkout: Checkout) -> None:
    shutil.rmtree(next(checkout.venv.glob("lib/python*/site-packages/pytest")))
    (checkout.folder / STAMP).write_text("")


@pytest.mark.parametrize("harm", [break_python, break_package, break_script, move, forge_stamp])
def test_an_environment_that_is_not_what_it_was_is_made_again(
    checkout: Checkout, harm: Callable[[Checkout], None]
) -> None:
    checkout.made()
    harm(checkout)
    assert "==>" in checkout.made()
    assert checkout.missing() == []
    assert subprocess.run([checkout.venv / "bin" / "pytest", "--version"], check=False).returncode == 0


def test_foreign_settings_of_the_shell_do_no_harm(checkout: Checkout) -> None:
    foreign = {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "VIRTUAL_ENV": "/nowhere", "UV_PYTHON": "3.8"}
    empty = {"PYTHON": "", "RATE": "", "ENVIRONMENT": ""}
    checkout.made(**foreign, **empty, TMPDIR="/nowhere", LC_ALL="C", LANG="C", PIP_TARGET="/nowhere")
    assert checkout.missing() == []


def test_a_home_that_is_not_there_is_replaced_by_one_among_the_tools(checkout: Checkout) -> None:
    said = checkout.made(
        "--eval", "show:; @echo $$HOME $$TMPDIR $$no_proxy", "show", HOME="/nowhere", TMPDIR="/nowhere"
    )
    scratch = checkout.folder / ".tools" / "scratch"
    assert said.strip() == f"{scratch} {scratch} 127.0.0.1,::1,localhost"
    assert scratch.is_dir()


# The following tests need no environment: they run a command of their own.


def once(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-E", str(ROOT / "setup" / "once.py"), *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, text=True, start_new_session=True, **streams)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, number: signal.Signals) -> None:
    shell = "echo half; touch begun; while [ ! -e end ]; do sleep 0.01; done; echo whole"
    arguments = ("make", "--stamp", "note", "--plain", "--stdout", "note", "--what", "a note", "--", "sh", "-c", shell)
    process = once(tmp_path, *arguments)
    until((tmp_path / "begun").exists, process)
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    assert process.returncode != 0 and not (tmp_path / "note").exists()
    (tmp_path / "end").touch()
    process = once(tmp_path, *arguments)
    process.communicate(timeout=SECONDS)
    assert (process.returncode, (tmp_path / "note").read_text()) == (0, "half\nwhole\n")


def test_what_a_killed_one_has_started_is_not_begun_beside(tmp_path: Path) -> None:
    """A command that survives the process that started it still holds the lock."""
    shell = "trap '' TERM; touch begun; while [ ! -e end ]; do sleep 0.01; done; echo done > first"
    process = once(tmp_path, "make", "--stamp", "s", "--what", "it", "--", "sh", "-c", shell)
    until((tmp_path / "begun").exists, process)
    process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    second = once(tmp_path, "make", "--stamp", "s", "--what", "it", "--", "cp", "first", "second")
    assert second.stderr is not None
    assert "waiting for another make that sets up it here" in second.stderr.readline()
    assert second.poll() is None
    (tmp_path / "end").touch()
    second.communicate(timeout=SECONDS)
    assert second.returncode == 0 and (tmp_path / "second").read_text() == "done\n"


def test_a_command_that_fails_or_is_missing_is_one_line(tmp_path: Path) -> None:
    for command, reason in (
        ("false", "could not be set up: false ended with status 1"),
        ("no-such", "is not installed"),
    ):
        process = once(tmp_path, "make", "--stamp", "s", "--what", "a thing", "--", command)
        _, said = process.communicate(timeout=SECONDS)
        assert process.returncode == 1 and not (tmp_path / "s").exists()
        assert "a thing" in said.splitlines()[-1] and reason in said.splitlines()[-1]
        assert "Traceback" not in said


@contextmanager
def someone() -> Iterator[None]:
    """Become a user whom permissions stop; root may write everything."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(own)


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the current folder, which others may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        monkeypatch.chdir(name)
        yield Path(name)
        monkeypatch.undo()


def test_what_may_not_be_written_is_one_line(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    open_folder.chmod(0o555)
    monkeypatch.setattr(sys, "argv", ["once.py", "make", "--stamp", "s", "--what", "it", "--", "true"])
    with someone():
        assert setup_once.main() == 1
    assert capfd.readouterr().err == (
        ".tools cannot be written (Permission denied): change its permissions, or use a copy that you may write\n"
    )


def test_folders_that_may_not_be_written_are_removed_all_the_same(open_folder: Path) -> None:
    """A killed pip leaves such folders."""
    with someone():
        (open_folder / "half/a/b").mkdir(parents=True)
        for folder, mode in (("half/a/b", 0o500), ("half/a", 0o100), ("half", 0)):
            (open_folder / folder / "c").touch()
            (open_folder / folder).chmod(mode)
        setup_once.remove(open_folder / "half")
    assert not (open_folder / "half").exists()


def test_a_full_disk_is_said() -> None:
    line = setup_once.explained(OSError(28, "No space left on device", "build/model"))
    assert line == "build/model cannot be written: the disk is full; free some space and run make again"


@pytest.mark.parametrize("harm", ["", "model.joblib", "baseline.parquet", "model.json", "empty"])
def test_a_bundle_of_which_something_is_missing_is_not_taken(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    names = ("model.joblib", "baseline.parquet")
    for name in names:
        (folder / name).write_text("content")
    (folder / "model.json").write_text(json.dumps({"files": dict.fromkeys(names, "digest")}))
    (tmp_path / "note").write_text(f"{folder}\n")
    if harm == "empty":
        (folder / "model.joblib").write_text("")
    elif harm:
        (folder / harm).unlink()
    process = once(tmp_path, "bundle", "note")
    found, said = process.communicate(timeout=SECONDS)
    assert (process.returncode, found.strip(), said) == (0, "" if harm else str(folder), "")
