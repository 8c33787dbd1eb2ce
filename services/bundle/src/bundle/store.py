"""Bundles on disk: written whole or not at all, unpickled only after every check.

Nothing that could unpickle is even imported before: joblib, scikit-learn and what needs them come in where a model that
has passed is opened.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np

from bundle.errors import BundleError
from bundle.manifest import MANIFEST_NAME, Manifest, read_manifest
from bundle.quantiles import Quantiles

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from bundle.scoring import Floats, Scorer

MODEL_NAME = "model.joblib"
MODEL_SUFFIXES = (".joblib", ".pkl", ".pickle")
LIBRARIES = ("scikit-learn", "numpy", "scipy", "joblib")
"""Libraries whose objects are in the pickle: another minor version may read it wrongly, and without an error."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified model."""

    manifest: Manifest
    folder: Path
    sha256: str
    """SHA-256 (hex) of the model file that was loaded."""
    pipeline: Pipeline
    scorer: Scorer

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the model was trained on: the text first, then the named numbers."""
        return self.manifest.columns

    def score(self, texts: Sequence[str], values: Floats) -> Floats:
        """Spam probability of each mail; a mail's answer does not depend on the others in the batch.

        Args:
            texts: `features.Features.text` of n mails.
            values: Named numbers [n, k] in the order of `columns[1:]`, finite and not negative.

        Returns:
            Probabilities [n], 0 to 1.

        Raises:
            ValueError: Another shape than [n, k], or a number that is negative or not finite.
        """
        values = np.asarray(values, dtype=np.float64)
        names = self.columns[1:]
        if values.shape != (len(texts), len(names)):
            raise ValueError(f"values must have shape {(len(texts), len(names))} (mails, numbers), not {values.shape}")
        if not len(texts):
            return np.empty(0)
        # One comparison refuses NaN as well, which compares as false with everything.
        if not (values.min() >= 0.0 and values.max() < np.inf):
            raise ValueError(_bad_number(values, names))
        return self.scorer(texts, values)


def _bad_number(values: Floats, names: Sequence[str]) -> str:
    row, column = np.argwhere(~((values >= 0.0) & (values < np.inf)))[0]
    return f"{names[column]} of mail {row} is {values[row, column]}; it must be a finite number of 0 or more"


def load(folder: Path, sha256: str | None = None) -> Bundle:
    """Verify a bundle and load its model.

    The model file is read once, and what was hashed is what is unpickled.

    Args:
        folder: `<root>/<name>/<version>` as written by `write`.
        sha256: Digest that the release pins for the model file, if any.

    Raises:
        BundleError: The bundle is incomplete, is not the one pinned, or was made with other library versions.
    """
    model_file = _model_file(folder)
    manifest = read_manifest(folder)
    content = _read(model_file)
    digest = hashlib.sha256(content).hexdigest()
    _check_digest(model_file, digest, sha256, manifest)
    _check_libraries(manifest)
    return _open(content, digest, folder, manifest)


def _open(content: bytes, digest: str, folder: Path, manifest: Manifest) -> Bundle:
    """Unpickle what has been checked."""
    import joblib

    from bundle.scoring import fastest

    pipeline = joblib.load(io.BytesIO(content))
    _check_columns(pipeline, manifest)
    return Bundle(manifest, folder, digest, pipeline, fastest(pipeline, manifest.columns))


def _read(model_file: Path) -> bytes:
    """The content of a model file, in one reading."""
    try:
        # A pipe without a writer would hold up whoever opens it, and a device may never end.
        with open(model_file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read()
    except OSError as error:
        raise BundleError(f"{model_file} cannot be read ({error.strerror}); copy the bundle again") from None
    raise BundleError(f"{model_file} is no regular file; it was not read: copy the bundle again")


def verify(folder: Path, sha256: str | None = None) -> Manifest:
    """Check a bundle's files and unpickle nothing.

    Args:
        folder: `<root>/<name>/<version>`, or a copy that has the model file, `model.json` and any companions.
        sha256: Digest that the release pins for the model file, if any.

    Raises:
        BundleError: A file is missing, is not the one pinned, or is another than `model.json` says.
    """
    model_file = _model_file(folder)
    manifest = read_manifest(folder)
    _check_digest(model_file, hashlib.sha256(model_file.read_bytes()).hexdigest(), sha256, manifest)
    for name, recorded in manifest.files.items():
        path = folder / name
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != recorded:
            raise BundleError(f"{path} is not the file that {MANIFEST_NAME} names; copy the bundle again")
    return manifest


def _model_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise BundleError(
            f"model folder {folder} does not exist; KServe's storage initializer does not run in namespaces labelled "
            "control-plane, so check `kubectl get namespace --show-labels`; on one machine train the model first"
        )
    found = sorted(path for path in folder.iterdir() if path.suffix in MODEL_SUFFIXES)
    if len(found) != 1:
        what = ", ".join(path.name for path in found) or "none"
        kinds = ", ".join(f"*{suffix}" for suffix in MODEL_SUFFIXES)
        raise BundleError(
            f"{folder} must hold exactly one model file ({kinds}), has {what}; keep only the one to serve"
        )
    return found[0]


def _check_digest(model_file: Path, digest: str, pinned: str | None, manifest: Manifest) -> None:
    if pinned is not None and digest != pinned.strip().lower():
        raise BundleError(
            f"{model_file} has SHA-256 {digest}, the release pins {pinned}; it was not unpickled: "
            "deploy the bundle that was released, or release this one"
        )
    recorded = manifest.files.get(model_file.name)
    if digest != recorded:
        raise BundleError(
            f"{model_file} has SHA-256 {digest}, {MANIFEST_NAME} says {recorded}; it was not unpickled: "
            "copy the bundle again"
        )


def _check_libraries(manifest: Manifest) -> None:
    for library in LIBRARIES:
        here, there = installed_version(library), manifest.libraries.get(library, "an unknown version")
        if here.split(".")[:2] != there.split(".")[:2]:
            raise BundleError(
                f"the model was trained with {library} {there}, here is {library} {here}; "
                f"install {library} {there} or train the model anew"
            )


def _check_columns(pipeline: Any, manifest: Manifest) -> None:
    from sklearn.pipeline import Pipeline

    if not (isinstance(pipeline, Pipeline) and hasattr(pipeline, "predict_proba")):
        kind = type(pipeline).__name__
        raise BundleError(f"the model is a {kind}, not a scikit-learn Pipeline with predict_proba; train it anew")
    trained = tuple(getattr(pipeline, "feature_names_in_", ()))
    if trained != manifest.columns:
        odd = sorted(set(trained) ^ set(manifest.columns)) or "their order"
        raise BundleError(f"the model's columns and those of {MANIFEST_NAME} differ in {odd}; train the bundle anew")


def dump(pipeline: Pipeline) -> bytes:
    """Pickle a pipeline; the same fitted pipeline gives the same bytes."""
    import joblib

    target = io.BytesIO()
    joblib.dump(pipeline, target, compress=3)
    return target.getvalue()


def write(
    folder: Path,
    model: bytes,
    *,
    name: str,
    version: str,
    feature_schema_version: str,
    columns: Sequence[str],
    threshold: float,
    metrics: Mapping[str, Any],
    corpus: Mapping[str, Any],
    files: Mapping[str, bytes],
    feature_quantiles: Quantiles | None = None,
    replace: bool = False,
) -> Manifest:
    """Write a bundle atomically: a reader sees all of it or nothing.

    Args:
        folder: `<root>/<name>/<version>`; must not exist unless `replace`.
        model: From `dump`.
        files: Content of the bundle's other files by name.
        feature_quantiles: Of the mail that the model was trained on.

    Raises:
        BundleError: The folder exists already.
    """
    if folder.exists() and not replace:
        raise BundleError(f"{folder} exists already; choose another version or replace it")
    files = {MODEL_NAME: model, **files}
    manifest = Manifest(
        name=name,
        version=version,
        feature_schema_version=feature_schema_version,
        columns=tuple(columns),
        threshold=threshold,
        metrics=dict(metrics),
        libraries=libraries(),
        corpus=dict(corpus),
        files={file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        feature_quantiles=feature_quantiles,
    )
    _write_folder(folder, {**files, MANIFEST_NAME: manifest.to_json().encode()})
    return manifest


def libraries() -> dict[str, str]:
    """Versions that a pickle made here depends on."""
    return {"python": python_version(), **{library: installed_version(library) for library in LIBRARIES}}


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        fresh, old = Path(scratch, "new"), Path(scratch, "old")
        fresh.mkdir(mode=0o755)
        for file, content in files.items():
            (fresh / file).write_bytes(content)
        if folder.exists():
            os.rename(folder, old)
        os.rename(fresh, folder)
        shutil.rmtree(old, ignore_errors=True)
