"""Models that are compared, and the contents of their bundles."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence.errors import EvidenceError
from inferencelog import EVALUATION_NAME, LogError, ScoredCorpus, open_store, read_scored
from manifest import MODEL_NAME, BundleError, Manifest, download, read_listed, verify
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
        return {"environment": self.environment, "uri": self.uri, "version": self.version, "sha256": self.sha256}


def read_side(root: Path, environment: str, folder: Path | None) -> Side:
    """Return the model of an environment.

    Args:
        root: Root of the repository.
        environment: Environment whose release file pins the model.
        folder: Folder of a bundle to use instead of the pinned one.

    Raises:
        EvidenceError: If nothing is pinned, or if the bundle is not the pinned one, is incomplete or cannot be read.
    """
    try:
        if folder is not None:
            return _read(environment, str(folder), folder, verify(folder))
        uri, sha256 = _pinned(root, environment)
        with tempfile.TemporaryDirectory() as scratch:
            manifest = download(open_store(uri), Path(scratch), sha256)
            return _read(environment, uri, Path(scratch), manifest)
    except (BundleError, LogError, ReleaseError) as error:
        raise EvidenceError(f"{environment}: {error}") from error


def _pinned(root: Path, environment: str) -> tuple[str, str]:
    path = root / "environments" / environment / "release.yaml"
    pins = ReleaseFile.read(path).written()
    check_uri(f"{path}: global.model.uri", pins.model_uri)
    check_sha256(f"{path}: global.model.sha256", pins.model_sha256)
    return pins.model_uri, pins.model_sha256


def _read(environment: str, uri: str, folder: Path, manifest: Manifest) -> Side:
    return Side(environment, uri, manifest, _scored(folder, manifest))


def _scored(folder: Path, manifest: Manifest) -> ScoredCorpus | None:
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
