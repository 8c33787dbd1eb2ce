"""A released model on its way into a real predictor, changed at each stage: refused, and nothing of it has run."""

import hashlib
import json
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, START_SECONDS
from s3_server import S3Server

from inferencelog import open_store

PREDICTOR = ROOT / "services" / "predictor" / ".venv" / "bin" / "predictor"
MODEL = "model.joblib"
MANIFEST = "model.json"


class Payload:
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


@pytest.fixture
def released(s3: S3Server, model: Path) -> tuple[str, str]:
    """URI and digest of the model, uploaded and pinned as a release does."""
    uri = f"{s3.uri}/models/{model.name}"
    for file in model.iterdir():
        open_store(uri).write(file.name, file.read_bytes())
    return uri, json.loads((model / MANIFEST).read_text())["files"][MODEL]


def download(uri: str, folder: Path) -> Path:
    """What KServe's storage initializer does before the predictor starts: every object becomes a file."""
    store = open_store(uri)
    folder.mkdir()
    for name in store.files(""):
        (folder / Path(name).name).write_bytes(store.read(Path(name).name))
    return folder


def recorded(manifest: bytes, content: bytes) -> bytes:
    """The manifest of a bundle that has this model in it."""
    found = json.loads(manifest)
    found["files"][MODEL] = hashlib.sha256(content).hexdigest()
    return json.dumps(found).encode()


def refusal(folder: Path, pinned: str) -> str:
    """Why the predictor ends, which it does by itself and with status 1."""
    environ = os.environ | {"MODEL_DIR": str(folder), "MODEL_SHA256": pinned, "HTTP_PORT": "0"}
    done = subprocess.run([PREDICTOR], env=environ, cwd=folder, capture_output=True, text=True, timeout=START_SECONDS)
    (line,) = done.stdout.splitlines()
    entry = json.loads(line)
    assert (done.returncode, done.stderr, entry["message"]) == (1, "", "model refused")
    return str(entry["reason"])


def test_an_object_replaced_after_the_pin(
    released: tuple[str, str], tmp_path: Path, mark: Path, payload: bytes
) -> None:
    uri, pinned = released
    open_store(uri).write(MODEL, payload)
    reason = refusal(download(uri, tmp_path / "volume"), pinned)
    assert (
        f"has SHA-256 {hashlib.sha256(payload).hexdigest()}, the release pins {pinned}; it was not unpickled" in reason
    )
    assert not mark.exists()


def test_an_object_replaced_together_with_the_manifest(
    released: tuple[str, str], tmp_path: Path, mark: Path, payload: bytes
) -> None:
    """Who can write to the bucket can make a bundle that agrees with itself: only the pin in Git tells."""
    uri, pinned = released
    store = open_store(uri)
    store.write(MANIFEST, recorded(store.read(MANIFEST), payload))
    store.write(MODEL, payload)
    assert f"the release pins {pinned}; it was not unpickled" in refusal(download(uri, tmp_path / "volume"), pinned)
    assert not mark.exists()


def replace(folder: Path, payload: bytes) -> None:
    (folder / MODEL).write_bytes(payload)


def replace_with_manifest(folder: Path, payload: bytes) -> None:
    replace(folder, payload)
    (folder / MANIFEST).write_bytes(recorded((folder / MANIFEST).read_bytes(), payload))


def append(folder: Path, payload: bytes) -> None:
    with (folder / MODEL).open("ab") as model:
        model.write(payload)


def truncate(folder: Path, _: bytes) -> None:
    os.truncate(folder / MODEL, (folder / MODEL).stat().st_size // 2)


def link(folder: Path, payload: bytes) -> None:
    (folder.parent / "elsewhere").write_bytes(payload)
    (folder / MODEL).unlink()
    (folder / MODEL).symlink_to(folder.parent / "elsewhere")


def pipe(folder: Path, _: bytes) -> None:
    (folder / MODEL).unlink()
    os.mkfifo(folder / MODEL)


def add_model(folder: Path, payload: bytes) -> None:
    (folder / "another.pkl").write_bytes(payload)


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (replace, "the release pins"),
        (replace_with_manifest, "the release pins"),
        (append, "the release pins"),
        (truncate, "the release pins"),
        (link, "the release pins"),
        (pipe, "is no regular file"),
        (add_model, "must hold exactly one model file"),
    ],
)
def test_a_volume_changed_before_the_start(
    released: tuple[str, str],
    tmp_path: Path,
    mark: Path,
    payload: bytes,
    tamper: Callable[[Path, bytes], None],
    reason: str,
) -> None:
    uri, pinned = released
    folder = download(uri, tmp_path / "volume")
    tamper(folder, payload)
    assert reason in refusal(folder, pinned)
    assert not mark.exists()


def test_code_beside_the_model_is_never_imported(released: tuple[str, str], tmp_path: Path, mark: Path) -> None:
    """The model itself is sound here; the check of its libraries ends the start, well after all imports."""
    uri, pinned = released
    folder = download(uri, tmp_path / "volume")
    for name in ("joblib.py", "sklearn.py", "kserve.py", "sitecustomize.py", "usercustomize.py"):
        (folder / name).write_text(f"import os; os.mkdir({str(mark)!r})\n")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["columns"] = ["text"]
    manifest["feature_quantiles"] = None
    (folder / MANIFEST).write_text(json.dumps(manifest))
    assert "the model's columns" in refusal(folder, pinned)
    assert not mark.exists()
