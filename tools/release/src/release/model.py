"""Model to be pinned: the facts of its bundle that a release needs. Pinning unpickles nothing."""

from pathlib import Path

from inferencelog import LogError, open_store
from manifest import (
    MANIFEST_BYTES,
    MANIFEST_NAME,
    MODEL_NAME,
    BundleError,
    Manifest,
    parse,
    read_file,
    read_manifest,
    read_stored,
    verify,
)
from release.errors import ReleaseError
from release.releasefile import Pins, check_uri


def read_bundle(folder: Path) -> Manifest:
    """Return the manifest of a bundle, after checking its files against `model.json`.

    Raises:
        ReleaseError: If a file is missing or differs from `model.json`, or if a field is outside its limits.
    """
    try:
        return verify(folder)
    except BundleError as error:
        raise ReleaseError(str(error)) from None


def read_alone(path: Path) -> Manifest:
    """Return the manifest in a single `model.json`, for a bundle that lies elsewhere.

    Raises:
        ReleaseError: If the file is missing, or if a field is outside its limits.
    """
    try:
        return parse(read_file(path, MANIFEST_BYTES), str(path))
    except BundleError as error:
        raise ReleaseError(str(error)) from None


def check_place(model: Manifest, uri: str) -> None:
    """Refuse a URI that names another version than the bundle's.

    Raises:
        ReleaseError: If the URI is malformed, or if its last part is not the version.
    """
    check_uri("the model's URI", uri)
    named = uri.rpartition("/")[2]
    if named != model.version:
        raise ReleaseError(
            f"{uri} ends with {named!r}, the bundle is version {model.version!r};"
            f" upload it to {uri.rpartition('/')[0]}/{model.version} and name that"
        )


def check_uploaded(model: Manifest, uri: str) -> None:
    """Refuse a URI that does not hold the bundle, so that no environment is told to run a missing model.

    Args:
        model: Manifest of the bundle to be pinned.
        uri: Expected place of the bundle; S3 is reached by the variables that every S3 client knows, AWS_*.

    Raises:
        ReleaseError: If the place cannot be read, or if it holds another bundle or only part of this one.
    """
    try:
        store = open_store(uri)
        read_stored(store, model.sha256)
        there = {path.rpartition("/")[2] for path in store.files("")}
    except LogError as error:
        raise ReleaseError(
            f"{uri} could not be looked at: {error}; upload the bundle, and set AWS_ENDPOINT_URL_S3,"
            f" AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION; {OFFLINE}"
        ) from None
    except BundleError as error:
        raise ReleaseError(f"{uri} does not hold this bundle: {error}; upload it there, or {OFFLINE}") from None
    if missing := sorted(model.files.keys() - there):
        raise ReleaseError(f"{uri} lacks {', '.join(missing)}; upload the whole folder, or {OFFLINE}")


OFFLINE = "where this machine cannot reach it, pin without looking: make pin-model OFFLINE=1"


def find_model(models: Path, pins: Pins) -> Manifest | None:
    """Return the manifest of a pinned model from a local copy; None without a copy or if the copy differs."""
    try:
        return read_manifest(_copy(models, pins), pins.model_sha256)
    except BundleError:
        return None


def check_kind(models: Path, pins: Pins, environment: str) -> None:
    """Refuse a pin of `model.joblib`, as older releases had, where a local copy of the bundle reveals it.

    Raises:
        ReleaseError: If the pin is of `model.joblib`; a predictor would refuse it too.
    """
    try:
        found = read_manifest(_copy(models, pins))
    except BundleError:
        return
    if pins.model_sha256 == found.files[MODEL_NAME]:
        raise ReleaseError(
            f"{environment} pins {pins.model_sha256}, the SHA-256 of {MODEL_NAME} alone; a release pins"
            f" {MANIFEST_NAME}, and with it all files of the bundle: run make pin-model ENV={environment}"
            f" URI={pins.model_uri} BUNDLE={_copy(models, pins)}"
        )


def _copy(models: Path, pins: Pins) -> Path:
    return models.joinpath(*pins.model_uri.split("/")[-2:])
