"""What a bundle's `model.json` says that a release needs.

Read here rather than with the package `bundle`: that brings scikit-learn, and pinning a model unpickles nothing.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from release.errors import ReleaseError
from release.releasefile import Pins, check_sha256, check_uri

MANIFEST_NAME = "model.json"
MODEL_NAME = "model.joblib"


@dataclass(frozen=True, slots=True)
class Model:
    """A model that could be released."""

    name: str
    version: str
    sha256: str
    """Of `model.joblib`."""
    metrics: dict[str, Any]
    files: dict[str, str]
    """SHA-256 of each file of the bundle."""


def read_bundle(folder: Path) -> Model:
    """Read a bundle whose files are those that its `model.json` names.

    Raises:
        ReleaseError: A file is missing, or is another than `model.json` says.
    """
    model = read_manifest(folder / MANIFEST_NAME)
    for name, sha256 in model.files.items():
        _check_file(folder / name, sha256)
    return model


def read_manifest(path: Path) -> Model:
    """Read a `model.json` alone, for a bundle that is elsewhere.

    Raises:
        ReleaseError: It is missing or lacks something.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ReleaseError(f"{path} does not exist; name what make train has written") from None
    except ValueError as error:
        raise ReleaseError(f"{path} is no JSON ({error}); copy the bundle again") from None
    return _model(content, path)


def _model(content: Any, path: Path) -> Model:
    try:
        name, version, metrics, files = (content[key] for key in ("name", "version", "metrics", "files"))
        sha256 = files[MODEL_NAME]
    except (KeyError, TypeError):
        raise ReleaseError(
            f"{path} must have name, version, metrics, and files with {MODEL_NAME}; train the bundle anew"
        ) from None
    check_sha256(f"{path}: {MODEL_NAME}", sha256)
    return Model(name, version, sha256, metrics, files)


def _check_file(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise ReleaseError(f"{path} is missing, {MANIFEST_NAME} names it; copy the bundle again")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise ReleaseError(f"{path} has SHA-256 {digest}, {MANIFEST_NAME} says {sha256}; copy the bundle again")


def check_place(model: Model, uri: str) -> None:
    """Refuse a URI that names another version than the bundle is.

    Raises:
        ReleaseError: It is malformed, or its last part is not the version.
    """
    check_uri("the model's URI", uri)
    named = uri.rpartition("/")[2]
    if named != model.version:
        raise ReleaseError(
            f"{uri} ends with {named!r}, the bundle is version {model.version!r};"
            f" upload it to {uri.rpartition('/')[0]}/{model.version} and name that"
        )


def find_model(models: Path, pins: Pins) -> Model | None:
    """The `model.json` of a pinned model, where a copy is at hand."""
    path = models.joinpath(*pins.model_uri.split("/")[-2:], MANIFEST_NAME)
    model = read_manifest(path) if path.is_file() else None
    return model if model and model.sha256 == pins.model_sha256 else None
