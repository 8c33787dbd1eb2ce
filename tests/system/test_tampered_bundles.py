"""Tests of a released model on its way into a real predictor, changed at each stage: it is refused and never runs."""

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
DRIFT = ROOT / "services" / "drift" / ".venv" / "bin" / "drift-detector"
MODEL = "model.joblib"
MANIFEST = "model.json"
BASELINE = "baseline.parquet"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Payload:
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


@pytest.fixture
def released(s3: S3Server, model: Path) -> tuple[str, str]:
    """Return URI and digest of the model, uploaded and pinned as a release does."""
    uri = f"{s3.uri}/models/{model.name}"
    for file in model.iterdir():
        open_store(uri).write(file.name, file.read_bytes())
    return uri, digest((model / MANIFEST).read_bytes())


def download(uri: str, folder: Path) -> Path:
    """Copy every object into a file, as KServe's storage initializer does before the predictor starts."""
    store = open_store(uri)
    folder.mkdir()
    for name in store.files(""):
        (folder / Path(name).name).write_bytes(store.read(Path(name).name))
    return folder


def recorded(manifest: bytes, content: bytes) -> bytes:
    """Return the manifest of a bundle that contains this model."""
    return changed(manifest, files=json.loads(manifest)["files"] | {MODEL: digest(content)})


def changed(manifest: bytes, **fields: Any) -> bytes:
    """Return a manifest with some fields changed."""
    return json.dumps(json.loads(manifest) | fields, indent=2).encode()


def refusal(folder: Path, pinned: str) -> str:
    """Return the reason why the predictor ends by itself, with status 1."""
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
    listed = json.loads(open_store(uri).read(MANIFEST))["files"][MODEL]
    assert f"has SHA-256 {digest(payload)}, model.json says {listed}; it was not unpickled" in reason
    assert not mark.exists()


def test_an_object_replaced_together_with_the_manifest(
    released: tuple[str, str], tmp_path: Path, mark: Path, payload: bytes
) -> None:
    """Whoever can write to the bucket can make a consistent bundle: only the pin in Git reveals it."""
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


def add_model(folder: Path, payload: bytes) -> None:
    (folder / "another.pkl").write_bytes(payload)


def all_ham(folder: Path, _: bytes) -> None:
    """Set a threshold that no mail reaches, so that every mail is ham."""
    (folder / MANIFEST).write_bytes(changed((folder / MANIFEST).read_bytes(), threshold=1.0))


def nearly_all_ham(folder: Path, _: bytes) -> None:
    (folder / MANIFEST).write_bytes(changed((folder / MANIFEST).read_bytes(), threshold=0.999999))


def other_baseline(folder: Path, _: bytes) -> None:
    (folder / BASELINE).write_bytes(b"rows by which nothing is drift")


def no_baseline(folder: Path, _: bytes) -> None:
    (folder / BASELINE).unlink()


def piped(name: str) -> Callable[[Path, bytes], None]:
    def put(folder: Path, _: bytes) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return put


def foldered(folder: Path, _: bytes) -> None:
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).mkdir()


def deep(folder: Path, _: bytes) -> None:
    (folder / MANIFEST).write_bytes(b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def large(folder: Path, _: bytes) -> None:
    os.truncate(folder / MANIFEST, 2**40)


TAMPERED: list[tuple[Callable[[Path, bytes], None], str]] = [
    (replace, "model.json says"),
    (replace_with_manifest, "the release pins"),
    (append, "model.json says"),
    (truncate, "model.json says"),
    (link, "is no regular file"),
    (piped(MODEL), "is no regular file"),
    (piped(MANIFEST), "is no regular file"),
    (piped(BASELINE), "is no regular file"),
    (foldered, "cannot be read (it is a folder)"),
    (add_model, "must hold exactly one model file"),
    (all_ham, "the release pins"),
    (nearly_all_ham, "the release pins"),
    (other_baseline, "model.json says"),
    (no_baseline, "baseline.parquet is missing, model.json names it"),
    (deep, "the release pins"),
    (large, "is larger than 1,048,576 bytes"),
]


@pytest.mark.parametrize(("tamper", "reason"), TAMPERED)
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


def test_a_pin_of_the_model_file_alone_says_what_to_run(released: tuple[str, str], tmp_path: Path) -> None:
    uri, _ = released
    folder = download(uri, tmp_path / "volume")
    reason = refusal(folder, digest((folder / MODEL).read_bytes()))
    assert "as releases once pinned model.joblib" in reason and "run make pin-model" in reason


@pytest.mark.parametrize("threshold", [1.0, 0, "0.9", 10**17])
def test_a_threshold_that_calls_all_mail_the_same_is_refused_though_it_is_pinned(
    released: tuple[str, str], tmp_path: Path, threshold: object
) -> None:
    folder = download(released[0], tmp_path / "volume")
    content = changed((folder / MANIFEST).read_bytes(), threshold=threshold)
    (folder / MANIFEST).write_bytes(content)
    assert "field 'threshold' must be " in refusal(folder, digest(content))


def test_code_beside_the_model_is_never_imported(released: tuple[str, str], tmp_path: Path, mark: Path) -> None:
    """The model itself is sound here; the check of its libraries ends the start, well after all imports."""
    folder = download(released[0], tmp_path / "volume")
    for name in ("joblib.py", "sklearn.py", "kserve.py", "sitecustomize.py", "usercustomize.py"):
        (folder / name).write_text(f"import os; os.mkdir({str(mark)!r})\n")
    content = changed((folder / MANIFEST).read_bytes(), columns=["text"], feature_quantiles=None)
    (folder / MANIFEST).write_bytes(content)
    assert "the model's columns" in refusal(folder, digest(content))
    assert not mark.exists()


def detected(uri: str, pinned: str, folder: Path) -> tuple[int, str]:
    """Return exit code and last line of the drift detector on an empty log, with the bundle's own baseline."""
    settings = {"ENVIRONMENT": "production", "INFERENCE_LOG_URI": str(folder / "log"), "MODEL_SHA256": pinned}
    environ = os.environ | settings | {"BASELINE_URI": f"{uri}/{BASELINE}"}
    done = subprocess.run([DRIFT], env=environ, cwd=folder, capture_output=True, text=True, timeout=START_SECONDS)
    return done.returncode, done.stdout.splitlines()[-1]


def test_a_baseline_replaced_in_the_bucket_is_not_compared_with(released: tuple[str, str], tmp_path: Path) -> None:
    """The replaced baseline would call any mail usual."""
    uri, pinned = released
    code, said = detected(uri, pinned, tmp_path)
    assert code == 0 and "insufficient data" in said
    store = open_store(uri)
    sound = store.read(MANIFEST)
    listed = json.loads(sound)["files"] | {BASELINE: "0" * 64}
    store.write(MANIFEST, changed(sound, files=listed))
    code, said = detected(uri, pinned, tmp_path)
    assert code == 1 and f"the release pins {pinned}" in said
    store.write(MANIFEST, sound)
    store.write(BASELINE, store.read("evaluation.parquet"))
    assert detected(uri, pinned, tmp_path)[0] == 1
