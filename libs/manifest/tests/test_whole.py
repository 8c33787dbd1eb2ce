"""Tests of whole bundles: the pin covers `model.json`, which covers every other file."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CONTENTS, ODD_KINDS, digest, document

import manifest
from manifest import MANIFEST_BYTES, BundleError, download, files, read_listed, read_manifest, read_stored, verify

LISTED = tuple(CONTENTS)


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(BundleError) as caught:
        action()
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_sound_bundle(folder: Path, pin: str) -> None:
    assert verify(folder, pin).sha256 == pin == verify(folder).sha256
    assert verify(folder, pin.upper() + "\n").version == folder.name
    assert read_listed(folder, verify(folder), "baseline.parquet") == b"rows"


@pytest.mark.parametrize("threshold", [1.0, 0.0, 0.9999, 0.95])
def test_a_threshold_changed_after_the_pin_is_refused(folder: Path, pin: str, threshold: float) -> None:
    """Whoever can write to the bucket could otherwise have all mail called ham."""
    changed = document(threshold=threshold)
    (folder / "model.json").write_bytes(changed)
    said = refusal(lambda: verify(folder, pin))
    assert f"model.json has SHA-256 {digest(changed)}, the release pins {pin}; it was not unpickled" in said
    assert said == refusal(lambda: read_manifest(folder, pin))


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, document() + b"\n", document()[:-1]])
def test_nothing_is_parsed_before_the_pin_is_compared(
    folder: Path, pin: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "model.json").write_bytes(content)
    monkeypatch.setattr(manifest.pins, "parse", lambda *_: pytest.fail("was parsed"))
    assert f"the release pins {pin}" in refusal(lambda: verify(folder, pin))


def test_the_manifest_is_read_once(folder: Path, pin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content that is put there after the comparison must not be parsed."""
    compare = manifest.pins.check_pin

    def then_replace(*arguments: str) -> None:
        compare(*arguments)  # type: ignore[arg-type]
        (folder / "model.json").write_bytes(document(threshold=0.999))

    monkeypatch.setattr(manifest.pins, "check_pin", then_replace)
    assert verify(folder, pin).threshold == 0.9


def test_a_pin_of_before_says_what_to_run(folder: Path) -> None:
    old = digest(CONTENTS["model.joblib"])
    said = refusal(lambda: verify(folder, old))
    assert f"the release pins {old}" in said
    assert "releases once pinned model.joblib; now they pin model.json" in said
    assert "run make pin-model ENV=… URI=… BUNDLE=" in said
    assert "once pinned" not in refusal(lambda: verify(folder, "1" * 64))


@pytest.mark.parametrize("pin", ["", "short", "g" * 64, "a" * 65, "sha256:" + "a" * 64])
def test_a_pin_that_is_none_is_no_way_around_it(folder: Path, pin: str) -> None:
    assert "is no SHA-256 (64 hexadecimal digits); run make pin-model" in refusal(lambda: verify(folder, pin))


@pytest.mark.parametrize("name", LISTED)
def test_a_listed_file_that_is_changed_or_missing_is_refused(folder: Path, pin: str, name: str) -> None:
    (folder / name).write_bytes(b"changed")
    said = refusal(lambda: verify(folder, pin))
    assert f"{name} has SHA-256 {digest(b'changed')}, model.json says {digest(CONTENTS[name])}" in said
    (folder / name).unlink()
    said = refusal(lambda: verify(folder, pin))
    assert name in said and ("is missing, model.json names it" in said or "exactly one model file" in said)


@pytest.mark.parametrize("kind", ODD_KINDS)
@pytest.mark.parametrize("name", ["model.json", *LISTED])
def test_what_is_no_regular_file_is_refused_and_never_waited_for(folder: Path, pin: str, name: str, kind: str) -> None:
    (folder / name).unlink()
    ODD_KINDS[kind](folder / name)
    said = refusal(lambda: verify(folder, pin))
    assert "is no regular file; it was not read" in said or "cannot be read (" in said


@pytest.mark.parametrize("name", ["model.json", *LISTED])
def test_a_link_within_the_folder_is_the_file(folder: Path, pin: str, name: str) -> None:
    """Kubernetes makes volumes of links into a folder beside them, which it replaces as a whole."""
    (folder / "..data").mkdir()
    (folder / name).rename(folder / "..data" / name)
    (folder / name).symlink_to(Path("..data") / name)
    assert verify(folder, pin).sha256 == pin


def test_the_folder_itself_may_be_a_link(folder: Path, pin: str, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(folder)
    assert verify(tmp_path / "models", pin).sha256 == pin


def test_files_that_are_not_listed_are_ignored(folder: Path, pin: str) -> None:
    (folder / "SUCCESS.txt").write_text("done")
    (folder / "__pycache__").mkdir()
    os.mkfifo(folder / "pipe")
    assert verify(folder, pin).sha256 == pin


@pytest.mark.parametrize("name", ["other.joblib", "model.pkl", "a.pickle"])
def test_another_model_is_not(folder: Path, pin: str, name: str) -> None:
    (folder / name).write_bytes(b"")
    has = ", ".join(sorted([name, "model.joblib"]))
    said = refusal(lambda: verify(folder, pin))
    assert f"must hold exactly one model file (*.joblib, *.pkl, *.pickle), model.joblib, has {has}" in said


def test_a_folder_that_is_none(folder: Path, tmp_path: Path) -> None:
    assert "does not exist; KServe's storage initializer" in refusal(lambda: verify(tmp_path / "nowhere"))
    assert "cannot be read (Not a directory)" in refusal(lambda: verify(folder / "model.json"))
    (folder / "model.json").unlink()
    assert "model.json does not exist; point to a folder that `trainer train` wrote" in refusal(lambda: verify(folder))


def test_sizes_are_bounded_before_anything_is_read(folder: Path, pin: str) -> None:
    os.truncate(folder / "model.json", MANIFEST_BYTES + 1)
    assert "model.json is larger than 1,048,576 bytes" in refusal(lambda: verify(folder, pin))
    (folder / "model.json").write_bytes(document())
    # A sparse file takes no room, but hashing it would take hours.
    os.truncate(folder / "baseline.parquet", 2**42)
    assert "baseline.parquet is larger than 268,435,456 bytes, the limit" in refusal(lambda: verify(folder, pin))


def test_a_file_that_grows_while_it_is_read_is_bounded() -> None:
    """The kernel says that this one has no bytes, and makes them when it is read."""
    path = Path("/proc/self/status")
    if not path.is_file():
        pytest.skip("needs /proc")
    assert path.stat().st_size == 0
    assert "is larger than 3 bytes" in refusal(lambda: files.read_file(path, 3))
    assert "is larger than 3 bytes" in refusal(lambda: files.digest_file(path, 3))


class Folder:
    """Store that is a folder, and records what was opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: list[str] = []

    def open(self, path: str) -> Any:
        self.opened.append(path)
        return Opened(self.folder / path)

    def uri(self, path: str = "") -> str:
        return f"s3://models/x/{path}"


class Opened(io.FileIO):
    def size(self) -> int:
        return os.fstat(self.fileno()).st_size


def test_a_download_is_checked_file_by_file(folder: Path, pin: str, tmp_path: Path) -> None:
    target, store = tmp_path / "copy", Folder(folder)
    target.mkdir()
    assert download(store, target, pin).sha256 == pin == verify(target, pin).sha256
    assert store.opened == ["model.json", *LISTED]
    (folder / "curves.png").write_bytes(b"changed")
    said = refusal(lambda: download(store, target, pin))
    assert f"s3://models/x/curves.png has SHA-256 {digest(b'changed')}, model.json says" in said
    (folder / "curves.png").unlink()
    said = refusal(lambda: download(store, target, pin))
    assert "s3://models/x/curves.png cannot be read (" in said and "upload the bundle again" in said


def test_nothing_but_the_manifest_is_fetched_of_a_bundle_that_is_not_the_one_pinned(
    folder: Path, pin: str, tmp_path: Path
) -> None:
    store, harmful = Folder(folder), document(threshold=1.0)
    (folder / "model.json").write_bytes(harmful)
    found = f"s3://models/x/model.json has SHA-256 {digest(harmful)}, the release pins {pin}"
    assert found in refusal(lambda: download(store, tmp_path, pin))
    assert found in refusal(lambda: read_stored(store, pin))
    assert store.opened == ["model.json"] * 2


def test_what_is_fetched_is_bounded(folder: Path, pin: str, tmp_path: Path) -> None:
    os.truncate(folder / "curves.png", 2**42)
    assert "curves.png is larger than 268,435,456 bytes" in refusal(lambda: download(Folder(folder), tmp_path, pin))
    os.truncate(folder / "model.json", 2**42)
    assert "model.json is larger than 1,048,576 bytes" in refusal(lambda: read_stored(Folder(folder), pin))
