"""Models that are compared, and the contents of their bundles."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence.errors import EvidenceError
from evidence.evaluation.models import EvaluatedModel, from_folder, read_scores
from inferencelog import LogError, ScoredCorpus, open_store
from manifest import BundleError, Manifest, download, verify
from release.errors import ReleaseError
from release.releasefile import ReleaseFile, check_sha256, check_uri


@dataclass(frozen=True, slots=True)
class Side:
    """Model in an environment."""

    environment: str
    uri: str
    """URI from which its bundle was read."""
    manifest: Manifest
    scored: ScoredCorpus | None
    """Out-of-fold scores; None in a bundle from a trainer that did not keep them."""
    model: EvaluatedModel | str | None = None
    """Model to score mail with, or the reason why it cannot; None if nothing is to be scored."""
    override: float | None = None
    """Threshold that the target environment sets in place of any model's own; None if it sets none."""

    @property
    def threshold(self) -> float:
        """Return the spam probability from which this model calls a mail spam in the target environment."""
        return self.manifest.threshold if self.override is None else self.override

    @property
    def version(self) -> str:
        """Return the model's version."""
        return self.manifest.version

    @property
    def sha256(self) -> str:
        """Return the bundle's digest, as a release pins it and answers name it."""
        return self.manifest.sha256

    def as_json(self) -> dict[str, Any]:
        """Return for JSON which model this is."""
        return {
            "environment": self.environment,
            "uri": self.uri,
            "version": self.version,
            "sha256": self.sha256,
            "threshold": self.threshold,
            "models_own_threshold": self.manifest.threshold,
        }


def read_side(root: Path, environment: str, folder: Path | None, load: bool = False) -> Side:
    """Return the model of an environment.

    Args:
        root: Root of the repository.
        environment: Environment whose release file pins the model.
        folder: Folder of a bundle to use instead of the pinned one.
        load: Whether to load the model, which unpickles it.

    Raises:
        EvidenceError: If nothing is pinned, or if the bundle is not the pinned one, is incomplete or cannot be read.
    """
    try:
        if folder is not None:
            return _read(environment, str(folder), folder, verify(folder), load)
        uri, sha256 = _pinned(root, environment)
        with tempfile.TemporaryDirectory() as scratch:
            manifest = download(open_store(uri), Path(scratch), sha256)
            return _read(environment, uri, Path(scratch), manifest, load)
    except (BundleError, LogError, ReleaseError) as error:
        raise EvidenceError(f"{environment}: {error}") from error


def _pinned(root: Path, environment: str) -> tuple[str, str]:
    path = root / "environments" / environment / "release.yaml"
    pins = ReleaseFile.read(path).written()
    check_uri(f"{path}: global.model.uri", pins.model_uri)
    check_sha256(f"{path}: global.model.sha256", pins.model_sha256)
    return pins.model_uri, pins.model_sha256


def _read(environment: str, uri: str, folder: Path, manifest: Manifest, load: bool) -> Side:
    model = _model(folder, manifest) if load else None
    return Side(environment, uri, manifest, read_scores(folder, manifest), model)


def _model(folder: Path, manifest: Manifest) -> EvaluatedModel | str:
    try:
        return from_folder(folder, manifest)
    except (BundleError, EvidenceError) as error:
        return str(error)
