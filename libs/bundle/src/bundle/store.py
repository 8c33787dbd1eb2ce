"""Bundles on disk: written whole or not at all, and unpickled only after every check.

Nothing that could unpickle is imported before the checks. joblib, scikit-learn and their dependents are imported where
a verified model is opened.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np

from manifest import (
    MANIFEST_NAME,
    MODEL_NAME,
    BundleError,
    Manifest,
    Quantiles,
    check_listed,
    check_model_file,
    parse,
    read_listed,
    read_manifest,
)

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from bundle.scoring import Floats, Scorer

LIBRARIES = ("scikit-learn", "numpy", "scipy", "joblib")
"""Libraries whose objects are in the pickle. Another minor version may misread them without an error."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Verified model, ready to score."""

    manifest: Manifest
    folder: Path
    pipeline: Pipeline
    scorer: Scorer

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of `model.json`, which lists all other files; a release pins it and an answer names it."""
        return self.manifest.sha256

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the model was trained on: the text first, then the named numbers."""
        return self.manifest.columns

    def score(self, texts: Sequence[str], values: Floats) -> Floats:
        """Return the spam probability of each mail; it does not depend on the other mails of the batch.

        Args:
            texts: `features.Features.text` of n mails.
            values: Named numbers [n, k] in the order of `columns[1:]`, finite and not negative.

        Returns:
            Probabilities [n], 0 to 1.

        Raises:
            ValueError: If the shape is not [n, k], or if a number is negative or not finite.
        """
        values = np.asarray(values, dtype=np.float64)
        names = self.columns[1:]
        if values.shape != (len(texts), len(names)):
            raise ValueError(f"values must have shape {(len(texts), len(names))} (mails, numbers), not {values.shape}")
        if not len(texts):
            return np.empty(0)
        # This comparison refuses NaN as well: NaN compares as false with everything.
        if not (values.min() >= 0.0 and values.max() < np.inf):
            raise ValueError(_bad_number(values, names))
        return self.scorer(texts, values)


def _bad_number(values: Floats, names: Sequence[str]) -> str:
    row, column = np.argwhere(~((values >= 0.0) & (values < np.inf)))[0]
    return f"{names[column]} of mail {row} is {values[row, column]}; it must be a finite number of 0 or more"


def load(folder: Path, pin: str | None = None) -> Bundle:
    """Verify a bundle and load its model.

    Every file is read once, and the bytes that were hashed are the bytes used. Files that `model.json` does not list
    are ignored.

    Args:
        folder: `<root>/<name>/<version>` as written by `write`.
        pin: SHA-256 of `model.json` that the release pins, if any.

    Raises:
        BundleError: If the bundle is incomplete, is not the pinned one, or was made with other library versions.
    """
    check_model_file(folder)
    manifest = read_manifest(folder, pin)
    check_listed(folder, manifest, MODEL_NAME)
    content = read_listed(folder, manifest, MODEL_NAME)
    _check_libraries(manifest)
    return _open(content, folder, manifest)


def _open(content: bytes, folder: Path, manifest: Manifest) -> Bundle:
    """Unpickle a model whose bytes have been verified."""
    import joblib

    from bundle.scoring import fastest

    pipeline = joblib.load(io.BytesIO(content))
    _check_columns(pipeline, manifest)
    return Bundle(manifest, folder, pipeline, fastest(pipeline, manifest.columns))


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
    """Return the pickled pipeline; the same fitted pipeline gives the same bytes."""
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
    threshold_chosen_by: str = "",
    replace: bool = False,
) -> Manifest:
    """Write a bundle atomically: a reader sees all of it or nothing.

    Args:
        folder: `<root>/<name>/<version>`; must not exist unless `replace`.
        model: Result of `dump`.
        files: Content of the bundle's other files by name.
        feature_quantiles: Quantiles of the mail that the model was trained on.
        threshold_chosen_by: Setting that chose the threshold, such as `MAX_FALSE_POSITIVES=0.001`; empty if unknown.

    Raises:
        BundleError: If the folder already exists, or if a field is outside its limits (`manifest.fields`).
    """
    if folder.exists() and not replace:
        raise BundleError(f"{folder} exists already; choose another version or replace it")
    files = {MODEL_NAME: model, **files}
    content = {
        "name": name,
        "version": version,
        "feature_schema_version": feature_schema_version,
        "columns": list(columns),
        "threshold": threshold,
        "threshold_chosen_by": threshold_chosen_by,
        "metrics": dict(metrics),
        "libraries": libraries(),
        "corpus": dict(corpus),
        "files": {file: hashlib.sha256(data).hexdigest() for file, data in files.items()},
        "feature_quantiles": feature_quantiles,
    }
    written = _json(content)
    # Parse before writing: a manifest that no reader would accept must not be written.
    manifest = parse(written, str(folder / MANIFEST_NAME))
    _write_folder(folder, {**files, MANIFEST_NAME: written})
    return manifest


def _json(content: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    except ValueError:
        raise BundleError("a metric or quantile is not a finite number; look at the corpus and train anew") from None


def libraries() -> dict[str, str]:
    """Return the versions on which a pickle made here depends."""
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
