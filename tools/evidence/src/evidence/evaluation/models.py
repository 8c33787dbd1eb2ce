"""Models to evaluate: bundles, or the scores that an earlier evaluation saved."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import features
from bundle import Bundle, load
from evidence.errors import EvidenceError
from inferencelog import EVALUATION_NAME, LogError, ScoredCorpus, one_line, open_store, read_scored
from manifest import MANIFEST_NAME, MODEL_NAME, BundleError, Manifest, download, read_listed, verify

RESULT_NAME = "evaluation.json"
SCORES_NAME = "scores.parquet"
"""Scores of the first model of an evaluation, mail by mail."""


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """Model to evaluate."""

    version: str
    sha256: str
    """SHA-256 (hex) of the bundle's `model.json`."""
    feature_schema_version: str
    threshold: float
    """Spam probability at or above which a mail is called spam."""
    bundle: Bundle | None
    """Loaded bundle; None if only its scores are here."""
    known: dict[str, float]
    """Scores by SHA-256 (hex) of the mail: out of fold for mail that the bundle learned from, or all saved ones."""


def open_model(place: str) -> EvaluatedModel:
    """Return the model of a bundle's folder or URI, or of the folder of an earlier evaluation.

    Raises:
        EvidenceError: If nothing of the kind is there, or if the model cannot be used with the features installed.
    """
    try:
        if "://" in place:
            with tempfile.TemporaryDirectory() as scratch:
                manifest = download(open_store(place), Path(scratch), None)
                return from_folder(Path(scratch), manifest)
        folder = Path(place)
        if (folder / RESULT_NAME).is_file() and not (folder / MANIFEST_NAME).exists():
            return open_saved(folder)
        return from_folder(folder, verify(folder))
    except (BundleError, LogError) as error:
        raise EvidenceError(str(error)) from error


def from_folder(folder: Path, manifest: Manifest) -> EvaluatedModel:
    """Load the model of a verified bundle.

    Raises:
        BundleError: If it cannot be loaded.
        EvidenceError: If it was trained on another feature schema than the one installed.
    """
    theirs, ours = manifest.feature_schema_version, features.SCHEMA_VERSION
    if theirs != ours:
        raise EvidenceError(
            f"model {manifest.version} was trained on feature schema {theirs}, and the features here are schema {ours}:"
            " run make evaluate in the release that trained it, and name the folder it writes in place of the bundle"
            " (for make evidence: EVALUATED=folder)"
        )
    scored = read_scores(folder, manifest)
    known = dict(zip(scored.mails, scored.scores.tolist(), strict=True)) if scored else {}
    return EvaluatedModel(
        manifest.version, manifest.sha256, theirs, manifest.threshold, load(folder, manifest.sha256), known
    )


def read_scores(folder: Path, manifest: Manifest) -> ScoredCorpus | None:
    """Return the out-of-fold scores of a verified bundle; None if it has none.

    Raises:
        BundleError: If they are of another model.
        LogError: If they cannot be read.
    """
    if EVALUATION_NAME not in manifest.files:
        return None
    path = folder / EVALUATION_NAME
    found = read_scored(read_listed(folder, manifest, EVALUATION_NAME), str(path))
    if found.model_file_sha256 != manifest.files[MODEL_NAME]:
        raise BundleError(
            f"{path} is of a model file {found.model_file_sha256}, not of {manifest.files[MODEL_NAME]};"
            " copy the bundle again"
        )
    return found


def open_saved(folder: Path) -> EvaluatedModel:
    """Return the first model of an earlier evaluation, with its scores.

    Raises:
        EvidenceError: If the folder holds no evaluation.
        LogError: If its scores cannot be read.
    """
    path = folder / RESULT_NAME
    try:
        about = _first_model(json.loads(path.read_bytes()))
        scored = read_scored((folder / SCORES_NAME).read_bytes(), str(folder / SCORES_NAME))
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        why = one_line(f"{type(error).__name__}: {error}", 200)
        raise EvidenceError(f"{path} is no evaluation ({why}); run make evaluate again") from None
    known = dict(zip(scored.mails, scored.scores.tolist(), strict=True))
    return EvaluatedModel(*about, None, known)


def _first_model(found: Any) -> tuple[str, str, str, float]:
    model = found["models"][0]
    version, sha256, schema = (one_line(str(model[name]), 100) for name in _NAMES)
    threshold = float(model["threshold"])
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be above 0 and below 1, is {threshold}")
    return version, sha256, schema, threshold


_NAMES = ("version", "sha256", "feature_schema_version")
