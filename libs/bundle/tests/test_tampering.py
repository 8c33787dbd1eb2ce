"""Tests of tampering: whenever and however a bundle is changed, what was not released is never unpickled or used."""

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
from manifest import read_listed

MODEL, MANIFEST, CARD = "model.joblib", "model.json", "model-card.md"


class Payload:
    """Object that makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Return the path that exists once the payload has run."""
    return tmp_path / "was-unpickled"


@pytest.fixture
def payload(mark: Path) -> bytes:
    """Return a pickle that leaves the mark. It is tried here, so that the mark's absence means something."""
    content = pickle.dumps(Payload(mark))
    pickle.loads(content)
    mark.rmdir()
    return content


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def pinned(folder: Path) -> str:
    """Return what a release pins of the bundle."""
    return digest((folder / MANIFEST).read_bytes())


def rewrite(folder: Path, **fields: Any) -> None:
    """Change fields of `model.json`, as whoever can write to the bucket could."""
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | fields, indent=2) + "\n")


def record(folder: Path, name: str, content: bytes) -> None:
    """Record content as that of a file in `model.json`."""
    listed = json.loads((folder / MANIFEST).read_text())["files"]
    rewrite(folder, files=listed | {name: digest(content)})


def refused(folder: Path, pinned: str, mark: Path, message: str) -> None:
    with pytest.raises(bundle.BundleError, match=message):
        bundle.load(folder, pinned)
    assert not mark.exists()


def test_a_replaced_model_with_its_manifest_is_caught_by_the_pin(
    folder: Path, pinned: str, mark: Path, payload: bytes
) -> None:
    (folder / MODEL).write_bytes(payload)
    record(folder, MODEL, payload)
    found = digest((folder / MANIFEST).read_bytes())
    refused(folder, pinned, mark, f"has SHA-256 {found}, the release pins {pinned}; it was not unpickled")


def test_a_replaced_model_without_a_pin_is_caught_by_the_manifest(folder: Path, mark: Path, payload: bytes) -> None:
    (folder / MODEL).write_bytes(payload)
    with pytest.raises(bundle.BundleError, match=r"model\.json says"):
        bundle.load(folder)
    assert not mark.exists()


def test_what_is_appended_is_never_reached(folder: Path, pinned: str, mark: Path, payload: bytes) -> None:
    """A pickle ends before its file does, so an unpickler would not notice."""
    with (folder / MODEL).open("ab") as model:
        model.write(payload)
    refused(folder, pinned, mark, r"model\.json says")


@pytest.mark.parametrize("kept", [0, 1, 0.5])
def test_a_truncated_model_is_refused(folder: Path, pinned: str, mark: Path, kept: float) -> None:
    content = (folder / MODEL).read_bytes()
    (folder / MODEL).write_bytes(content[: kept if isinstance(kept, int) else int(len(content) * kept)])
    refused(folder, pinned, mark, r"model\.json says")


def test_one_changed_bit_is_refused(folder: Path, pinned: str, mark: Path) -> None:
    content = bytearray((folder / MODEL).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / MODEL).write_bytes(content)
    refused(folder, pinned, mark, r"model\.json says")


def test_a_link_to_another_model_is_refused(
    folder: Path, pinned: str, tmp_path: Path, mark: Path, payload: bytes
) -> None:
    (tmp_path / "elsewhere").write_bytes(payload)
    (folder / MODEL).unlink()
    (folder / MODEL).symlink_to(tmp_path / "elsewhere")
    record(folder, MODEL, payload)
    refused(folder, pinned, mark, "the release pins")


def test_a_link_within_the_folder_is_the_model_that_was_released(folder: Path, pinned: str) -> None:
    """Some volumes consist of links; only the content counts."""
    (folder / "..data").mkdir()
    (folder / MODEL).rename(folder / "..data" / MODEL)
    (folder / MODEL).symlink_to(Path("..data") / MODEL)
    assert bundle.load(folder, pinned).sha256 == pinned


@pytest.mark.parametrize("name", [MODEL, MANIFEST, CARD])
def test_a_link_out_of_the_folder_is_no_part_of_the_bundle(
    folder: Path, pinned: str, tmp_path: Path, mark: Path, name: str
) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    refused(folder, pinned, mark, f"{name} is no regular file; it was not read: it links to {tmp_path}/elsewhere")


@pytest.mark.parametrize("name", [MODEL, MANIFEST, CARD])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)], ids=["pipe", "device"])
def test_what_is_no_file_is_refused_at_once(
    folder: Path, pinned: str, mark: Path, make: Callable[[Path], None], name: str
) -> None:
    (folder / name).unlink()
    make(folder / name)
    refused(folder, pinned, mark, f"{name} is no regular file; it was not read")


@pytest.mark.parametrize("name", [MODEL, MANIFEST, CARD])
@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.symlink("nowhere", path)], ids=["folder", "dangling link"])
def test_what_cannot_be_read_is_refused(
    folder: Path, pinned: str, mark: Path, make: Callable[[Path], None], name: str
) -> None:
    (folder / name).unlink()
    make(folder / name)
    refused(folder, pinned, mark, f"{name} cannot be read .*; copy the bundle again")


HARMFUL: dict[str, Any] = {
    "threshold": 1.0,
    "columns": ["text", "capitals_share", "links", "always_one"],
    "version": "v2",
    "name": "ham-detector",
    "feature_schema_version": "2",
    "libraries": {},
    "metrics": {"one_minus_auc": 0},
    "corpus": {},
    "feature_quantiles": {},
    "later": "field",
}


@pytest.mark.parametrize("field", HARMFUL)
def test_a_field_of_the_manifest_that_is_changed_is_refused(folder: Path, pinned: str, mark: Path, field: str) -> None:
    """The worst case is a threshold of 1.0, by which all mail is ham."""
    rewrite(folder, **{field: HARMFUL[field]})
    refused(folder, pinned, mark, f"the release pins {pinned}; it was not unpickled")


def test_a_threshold_of_one_is_refused_without_a_pin_too(folder: Path) -> None:
    rewrite(folder, threshold=1.0)
    with pytest.raises(bundle.BundleError, match="'threshold' must be greater than 0 and less than 1, is 1.0"):
        bundle.load(folder)


def test_a_listed_file_that_is_missing_or_changed_is_refused(folder: Path, pinned: str, mark: Path) -> None:
    (folder / CARD).write_bytes(b"# another")
    refused(folder, pinned, mark, f"{CARD} has SHA-256 .*, model.json says")
    (folder / CARD).unlink()
    refused(folder, pinned, mark, f"{CARD} is missing, model.json names it; copy the bundle again")


def test_a_pin_of_the_model_file_alone_is_refused_and_says_what_to_run(folder: Path, mark: Path) -> None:
    old = digest((folder / MODEL).read_bytes())
    refused(folder, old, mark, f"the release pins {old}; .*as releases once pinned model.joblib; .*run make pin-model")


@pytest.mark.parametrize("name", ["joblib.pkl", "a.joblib", "model.pickle"])
def test_another_model_beside_it_is_refused(folder: Path, pinned: str, mark: Path, payload: bytes, name: str) -> None:
    (folder / name).write_bytes(payload)
    refused(folder, pinned, mark, rf"exactly one model file .*{name}")


def test_what_else_lies_there_is_never_opened(folder: Path, pinned: str, mark: Path, payload: bytes) -> None:
    for name in ("model", "model.joblib.bak", "joblib.py", "sklearn.py"):
        (folder / name).write_bytes(payload)
    assert bundle.load(folder, pinned).sha256 == pinned
    assert not mark.exists()


def test_what_was_checked_is_what_is_unpickled(
    folder: Path, pinned: str, mark: Path, payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced just after the check and before the model is opened."""
    check = read_listed

    def then_replace(*arguments: Any) -> bytes:
        content = check(*arguments)
        (folder / "new").write_bytes(payload)
        (folder / "new").replace(folder / MODEL)
        return content

    monkeypatch.setattr(store, "read_listed", then_replace)
    assert bundle.load(folder, pinned).columns == COLUMNS
    assert (folder / MODEL).read_bytes() == payload
    assert not mark.exists()


WATCHED = """
import sys
from pathlib import Path
folder, pinned = sys.argv[1:]
events = []
def watch(event, arguments):
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
    """Return what a new process imports, unpickles and reads, in order, and how often it opens the model's file."""
    command = [sys.executable, "-c", WATCHED, str(folder), pinned]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_nothing_that_unpickles_is_imported_before_the_check(folder: Path, pinned: str) -> None:
    assert watched(folder, pinned) == "joblib sklearn unpickle 1"
    assert watched(folder, "0" * 64) == "refused 0"
