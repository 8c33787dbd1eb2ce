"""The two models that are compared, and what their bundles say."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bundle
from bundle import MANIFEST_NAME, MODEL_NAME, BundleError, Manifest
from evidence.errors import EvidenceError
from inferencelog import EVALUATION_NAME, LogError, ScoredCorpus, open_store, read_scored
from release.errors import ReleaseError
from release.releasefile import ReleaseFile, check_sha256, check_uri

_NEEDED = (MODEL_NAME, MANIFEST_NAME)


@dataclass(frozen=True, slots=True)
class Side:
    """A model in an environment."""

    environment: str
    uri: str
    """Where its bundle was read."""
    sha256: str
    """Of `model.joblib`."""
    manifest: Manifest
    scored: ScoredCorpus | None
    """None in a bundle of a trainer that did not keep its scores."""

    @property
    def version(self) -> str:
        """The model's."""
        return self.manifest.version

    def as_json(self) -> dict[str, Any]:
        """Which model this is, as JSON takes it."""
        return {"environment": self.environment, "uri": self.uri, "version": self.version, "sha256": self.sha256}


def read_side(root: Path, environment: str, folder: Path | None) -> Side:
    """The model of an environment.

    Args:
        root: Of the repository.
        environment: Whose release file pins it.
        folder: A bundle to take instead of the one that is pinned.

    Raises:
        EvidenceError: Nothing is pinned, or the bundle is not the one pinned, incomplete or not to be read.
    """
    try:
        if folder is not None:
            return _read(environment, str(folder), folder, None)
        uri, sha256 = _pinned(root, environment)
        with tempfile.TemporaryDirectory() as scratch:
            _fetch(uri, Path(scratch))
            return _read(environment, uri, Path(scratch), sha256)
    except (BundleError, LogError, ReleaseError) as error:
        raise EvidenceError(f"{environment}: {error}") from error


def _pinned(root: Path, environment: str) -> tuple[str, str]:
    path = root / "environments" / environment / "release.yaml"
    pins = ReleaseFile.read(path).written()
    check_uri(f"{path}: global.model.uri", pins.model_uri)
    check_sha256(f"{path}: global.model.sha256", pins.model_sha256)
    return pins.model_uri, pins.model_sha256


def _fetch(uri: str, folder: Path) -> None:
    """Files by names of ours: a manifest that was tampered with must not choose where they are written."""
    store = open_store(uri)
    there = {path.rpartition("/")[2] for path in store.files("")}
    for name in (*_NEEDED, *({EVALUATION_NAME} & there)):
        (folder / name).write_bytes(store.read(name))


def _read(environment: str, uri: str, folder: Path, sha256: str | None) -> Side:
    manifest = bundle.verify(folder, sha256)
    digest = manifest.files[MODEL_NAME]
    return Side(environment, uri, digest, manifest, _scored(folder, manifest, digest))


def _scored(folder: Path, manifest: Manifest, model_sha256: str) -> ScoredCorpus | None:
    path = folder / EVALUATION_NAME
    if EVALUATION_NAME not in manifest.files:
        return None
    if not path.is_file():
        raise BundleError(f"{path} is missing, {MANIFEST_NAME} names it; copy the bundle again")
    found = read_scored(path.read_bytes(), str(path))
    if found.model_sha256 != model_sha256:
        raise BundleError(f"{path} is of model {found.model_sha256}, not of {model_sha256}; copy the bundle again")
    return found
