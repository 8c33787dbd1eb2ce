"""Whatever is done to a bundle, at whatever time: what was not released is never unpickled."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import COLUMNS

import bundle
from bundle import store

MODEL = "model.joblib"


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What is there once the payload has run."""
    return tmp_path / "was-unpickled"


@pytest.fixture
def payload(mark: Path) -> bytes:
    """A pickle that leaves the mark: tried here, so that its absence means something."""
    content = pickle.dumps(Payload(mark))
    pickle.loads(content)
    mark.rmdir()
    return content


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def record(folder: Path, content: bytes) -> None:
    """Have `model.json` say that this is the model."""
    path = folder / "model.json"
    manifest = json.loads(path.read_text())
    manifest["files"][MODEL] = digest(content)
    path.write_text(json.dumps(manifest))


def refused(folder: Path, pinned: str, mark: Path, message: str) -> None:
    with pytest.raises(bundle.BundleError, match=message):
        bundle.load(folder, pinned)
    assert not mark.exists()


def test_a_replaced_model_with_its_manifest_is_caught_by_the_pin(folder: Path, mark: Path, payload: bytes) -> None:
    pinned = digest((folder / MODEL).read_bytes())
    (folder / MODEL).write_bytes(payload)
    record(folder, payload)
    refused(folder, pinned, mark, f"has SHA-256 {digest(payload)}, the release pins {pinned}; it was not unpickled")


def test_a_replaced_model_without_a_pin_is_caught_by_the_manifest(folder: Path, mark: Path, payload: bytes) -> None:
    (folder / MODEL).write_bytes(payload)
    with pytest.raises(bundle.BundleError, match=r"model\.json says"):
        bundle.load(folder)
    assert not mark.exists()


def test_what_is_appended_is_never_reached(folder: Path, mark: Path, payload: bytes) -> None:
    """A pickle ends before its file does: an unpickler would not notice."""
    pinned = digest((folder / MODEL).read_bytes())
    with (folder / MODEL).open("ab") as model:
        model.write(payload)
    refused(folder, pinned, mark, "the release pins")


@pytest.mark.parametrize("kept", [0, 1, 0.5])
def test_a_truncated_model_is_refused(folder: Path, mark: Path, kept: float) -> None:
    content = (folder / MODEL).read_bytes()
    (folder / MODEL).write_bytes(content[: kept if isinstance(kept, int) else int(len(content) * kept)])
    refused(folder, digest(content), mark, "the release pins")


def test_one_changed_bit_is_refused(folder: Path, mark: Path) -> None:
    content = bytearray((folder / MODEL).read_bytes())
    pinned = digest(bytes(content))
    content[len(content) // 2] ^= 1
    (folder / MODEL).write_bytes(content)
    refused(folder, pinned, mark, "the release pins")


def test_a_link_to_another_model_is_refused(folder: Path, tmp_path: Path, mark: Path, payload: bytes) -> None:
    pinned = digest((folder / MODEL).read_bytes())
    (tmp_path / "elsewhere").write_bytes(payload)
    (folder / MODEL).unlink()
    (folder / MODEL).symlink_to(tmp_path / "elsewhere")
    record(folder, payload)
    refused(folder, pinned, mark, "the release pins")


def test_a_link_to_the_model_that_was_released_is_that_model(folder: Path, tmp_path: Path) -> None:
    """Some volumes are made of links; only the content counts."""
    pinned = digest((folder / MODEL).read_bytes())
    (folder / MODEL).rename(tmp_path / "elsewhere")
    (folder / MODEL).symlink_to(tmp_path / "elsewhere")
    assert bundle.load(folder, pinned).sha256 == pinned


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)], ids=["pipe", "device"])
def test_what_is_no_file_is_refused_at_once(folder: Path, mark: Path, make: Callable[[Path], None]) -> None:
    pinned = digest((folder / MODEL).read_bytes())
    (folder / MODEL).unlink()
    make(folder / MODEL)
    refused(folder, pinned, mark, "is no regular file; it was not read")


@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.symlink("nowhere", path)], ids=["folder", "dangling link"])
def test_what_cannot_be_read_is_refused(folder: Path, mark: Path, make: Callable[[Path], None]) -> None:
    pinned = digest((folder / MODEL).read_bytes())
    (folder / MODEL).unlink()
    make(folder / MODEL)
    refused(folder, pinned, mark, "cannot be read .*; copy the bundle again")


@pytest.mark.parametrize("name", ["joblib.pkl", "a.joblib", "model.pickle"])
def test_another_model_beside_it_is_refused(folder: Path, mark: Path, payload: bytes, name: str) -> None:
    pinned = digest((folder / MODEL).read_bytes())
    (folder / name).write_bytes(payload)
    refused(folder, pinned, mark, rf"exactly one model file .*{name}")


def test_what_else_lies_there_is_never_opened(folder: Path, mark: Path, payload: bytes) -> None:
    pinned = digest((folder / MODEL).read_bytes())
    for name in ("model", "model.joblib.bak", "joblib.py", "sklearn.py"):
        (folder / name).write_bytes(payload)
    assert bundle.load(folder, pinned).sha256 == pinned
    assert not mark.exists()


def test_what_was_checked_is_what_is_unpickled(
    folder: Path, mark: Path, payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced in the moment after the check and before the model is opened."""
    pinned = digest((folder / MODEL).read_bytes())
    check = store._check_digest

    def then_replace(*arguments: Any) -> None:
        check(*arguments)
        (folder / "new").write_bytes(payload)
        (folder / "new").replace(folder / MODEL)

    monkeypatch.setattr(store, "_check_digest", then_replace)
    assert bundle.load(folder, pinned).columns == COLUMNS
    assert (folder / MODEL).read_bytes() == payload
    assert not mark.exists()


WATCHED = """
import sys
from pathlib import Path
folder, pinned = sys.argv[1:]
events = []
def watch(event, arguments):
    # Twice for one opening: by open(), and by the os.open() that it calls.
    if event == "open" and str(arguments[0]).endswith("model.joblib"):
        events.append("read")
    if event == "import" and arguments[0] in ("joblib", "sklearn"):
        events.append(arguments[0])
    if event == "pickle.find_class" and "unpickle" not in events:
        events.append("unpickle")
sys.addaudithook(watch)
import bundle
try:
    bundle.load(Path(folder), pinned)
except bundle.BundleError as error:
    events.append("refused")
print(*dict.fromkeys(e for e in events if e != "read"), events.count("read"))
"""


def watched(folder: Path, pinned: str) -> str:
    """What a new process imports, unpickles and reads, in its order; and how often it opens the model's file."""
    command = [sys.executable, "-c", WATCHED, str(folder), pinned]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_nothing_that_unpickles_is_imported_before_the_check(folder: Path) -> None:
    pinned = digest((folder / MODEL).read_bytes())
    assert watched(folder, pinned) == "joblib sklearn unpickle 2"
    assert watched(folder, "0" * 64) == "refused 2"
