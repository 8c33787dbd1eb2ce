"""Setup of what `make` needs once: whole or not at all, even if it is interrupted or runs several times at once.

Each result has a stamp, written last. Without a stamp, or with one that is no longer true, the result is removed and
made again. The script uses only the standard library, in syntax that older Pythons can read: it runs first, and says
which Python is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOCKS = Path(".tools", "locks")
LITTLE_DISK_BYTES = 100 << 20
"""Free bytes below which a full disk is named as the likely reason for a failure."""
PR_SET_PDEATHSIG = 1


class SetupError(Exception):
    """Error for something that cannot be set up; the message says what to do."""


def main() -> int:
    """Run a subcommand and return the exit code: 0 if everything is there, 1 if not, 130 if interrupted."""
    options = _options()
    try:
        _check_python()
        options.run(options)
    except SetupError as error:
        _say(str(error))
        return 1
    except OSError as error:
        _say(explained(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def make(options: argparse.Namespace) -> None:
    """Run the command under a lock, unless its results are already there."""
    stamp, began = Path(options.stamp), time.time()
    with _locked(options.lock or options.stamp, options.what):
        wanted = _facts(options)
        if not options.plain and is_true(stamp) and _read(stamp)["facts"] == wanted:
            _touch(stamp, options.makes)
            return
        if options.shared and _is_newer(stamp, began):
            return
        if options.say or not options.plain:
            _announce(options.what)
        if options.plain:
            _run(options)
            return
        incremental = options.keep and is_true(stamp, but_inputs=True)
        # Until a new stamp is written, the result counts as missing.
        stamp.unlink(missing_ok=True)
        for path in [] if incremental else options.remove:
            remove(Path(path))
        _run(options)
        _write(stamp, json.dumps({"facts": wanted, **_state(options)}))


def stale(options: argparse.Namespace) -> None:
    """Print the results whose stamp is no longer true."""
    for name in options.stamps:
        stamp = Path(name)
        if stamp.is_file() and not is_true(stamp):
            print(" ".join(_read(stamp).get("makes") or [name]))


def bundle(options: argparse.Namespace) -> None:
    """Print the folder of the model that a file names, if none of its files is missing."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        folder = Path(Path(options.note).read_text(encoding="utf-8").strip())
        files = json.loads((folder / "model.json").read_bytes())["files"]
        if files and all((folder / name).is_file() and (folder / name).stat().st_size for name in files):
            print(folder)


def is_true(stamp: Path, but_inputs: bool = False) -> bool:
    """Return whether the results of a stamp are still there as they were made.

    Args:
        but_inputs: Whether to ignore changes of the inputs since then.
    """
    found = _read(stamp)
    try:
        inputs = but_inputs or all(_digest(Path(name)) == digest for name, digest in found["facts"]["inputs"].items())
        there = all(Path(path).exists() for path in found["makes"])
        whole = all(_entries(Path(path)).issuperset(names) for path, names in found["entries"].items())
        return (
            inputs and there and whole and found["root"] == os.getcwd() and found["python"] == _identity(found["venv"])
        )
    except (KeyError, TypeError, AttributeError, OSError):
        return False


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    return {"inputs": {name: _digest(Path(name)) for name in options.inputs}, "command": options.command}


def _state(options: argparse.Namespace) -> dict[str, Any]:
    """Return the state of the results now that they have been made."""
    folders = [path for path in (options.venv and f"{options.venv}/bin", *_site_packages(options.venv)) if path]
    return {
        "root": os.getcwd(),
        "venv": options.venv,
        "python": _identity(options.venv),
        "makes": options.makes,
        "entries": {str(folder): sorted(_entries(Path(folder))) for folder in folders},
    }


def _site_packages(venv: str) -> list[str]:
    return [str(path) for path in Path(venv, "lib").glob("python*/site-packages")] if venv else []


def _entries(folder: Path) -> set[str]:
    return {name for name in os.listdir(folder) if name != "__pycache__"}


def _identity(venv: str) -> list[Any]:
    """Return the identity of an environment's Python: one upgraded in place is another one."""
    if not venv:
        return []
    real = os.path.realpath(Path(venv, "bin", "python"))
    found = os.stat(real)
    return [real, found.st_size, found.st_mtime_ns]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(stamp: Path) -> dict[str, Any]:
    try:
        found = json.loads(stamp.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _touch(stamp: Path, makes: list[str]) -> None:
    for path in (str(stamp), *makes):
        os.utime(path)


def _is_newer(path: Path, than: float) -> bool:
    try:
        return path.stat().st_mtime > than
    except OSError:
        return False


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)


@contextlib.contextmanager
def _locked(name: str, what: str) -> Iterator[None]:
    """Hold the lock for one result, shared with other makes; print a line while another make holds it."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    path = LOCKS / (name.replace("/", "-") + ".lock")
    with open(path, "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            _say(f"waiting for another make that sets up {what} here (process {lock.read().strip() or 'unknown'})")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        # Child processes hold the lock too: if this process is killed, nobody begins while they still run.
        os.set_inheritable(lock.fileno(), True)
        yield


def _run(options: argparse.Namespace) -> None:
    _die_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    fresh = f"{options.stdout}.{os.getpid()}" if options.stdout else os.devnull
    command = [part.replace("{python}", sys._base_executable) for part in options.command]  # type: ignore[attr-defined]
    try:
        with open(fresh, "wb") as output:
            # Keep make's own output apart: it may go into a file, as in `make render > all.yaml`.
            _wait(command, output if options.stdout else 2, options)
        if options.stdout:
            os.replace(fresh, options.stdout)
    finally:
        if options.stdout:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh)


def _wait(command: list[str], output: Any, options: argparse.Namespace) -> None:
    try:
        process = subprocess.Popen(command, stdout=output, close_fds=False, preexec_fn=_die_with_parent)
    except FileNotFoundError:
        raise SetupError(f"{options.what}: {command[0]} is not installed") from None
    try:
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status and options.plain:
        # The command has printed the reason itself.
        sys.exit(status if status > 0 else 128 - status)
    if status:
        name = Path(command[0]).name
        raise SetupError(f"{options.what} could not be set up: {name} ended with status {status}{_hint()}")


def _die_with_parent() -> None:
    # Other systems lack this signal; there, leftover processes hold the lock until they end.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _hint() -> str:
    free = shutil.disk_usage(".").free
    return (
        f"; only {free >> 20} MB are free on this disk, free some and run make again"
        if free < LITTLE_DISK_BYTES
        else ""
    )


def remove(path: Path) -> None:
    """Remove a file or folder, even if folders in it are read-only, as a killed pip leaves them."""
    try:
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            _open(str(path))
            shutil.rmtree(path)
    except OSError as error:
        raise SetupError(
            f"{error.filename or path} cannot be removed ({error.strerror}): remove it by hand, then run make again"
        ) from None


def _open(folder: str) -> None:
    """Make a folder and everything in it writable, as far as the user owns them."""
    with contextlib.suppress(OSError):
        os.chmod(folder, stat.S_IRWXU)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _open(entry.path)


def explained(error: OSError) -> str:
    """Return what a person can do about a file that cannot be written."""
    where = error.filename or "a file"
    if error.errno == errno.ENOSPC:
        return f"{where} cannot be written: the disk is full; free some space and run make again"
    return f"{where} cannot be written ({error.strerror}): change its permissions, or use a copy that you may write"


def _check_python() -> None:
    if sys.version_info[:2] != (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(f"Python 3.11 is needed; {sys.executable} is {found}; name another: make PYTHON=…")


def _announce(what: str) -> None:
    _say(f"\033[1m==> {time.strftime('%T')}  {what}\033[0m")


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode("utf-8", "backslashreplace"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="once.py", description=__doc__)
    commands = parser.add_subparsers(required=True)
    once = commands.add_parser("make", help="run a command, unless what it makes is there")
    once.add_argument("--stamp", required=True, help="file that is written last")
    once.add_argument("--what", required=True, help="what is set up, for a person")
    once.add_argument("--lock", default="", help="name of the lock, if not the stamp's")
    once.add_argument("--venv", default="", help="environment that is made")
    once.add_argument("--makes", action="append", default=[], help="file that is made, and must stay")
    once.add_argument("--inputs", action="append", default=[], help="file that it is made from")
    once.add_argument("--remove", action="append", default=[], help="what is removed before, for it may be half-made")
    once.add_argument("--keep", action="store_true", help="keep it where the inputs alone have changed")
    once.add_argument("--plain", action="store_true", help="the command needs no stamp and says itself what is wrong")
    once.add_argument("--say", action="store_true", help="announce it although it is plain")
    once.add_argument("--stdout", default="", help="file for the command's output, written whole or not at all")
    once.add_argument("--shared", action="store_true", help="be content with what another has made meanwhile")
    once.add_argument("command", nargs="+")
    once.set_defaults(run=make)
    old = commands.add_parser("stale", help="print what has a stamp that is not true any more")
    old.add_argument("stamps", nargs="*")
    old.set_defaults(run=stale)
    model = commands.add_parser("bundle", help="print the folder of the model, if it is whole")
    model.add_argument("note")
    model.set_defaults(run=bundle)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
