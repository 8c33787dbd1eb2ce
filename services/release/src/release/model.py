"""What a bundle says about itself that a release needs; pinning a model unpickles nothing."""

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
    """Read a bundle whose files are those that its `model.json` names.

    Raises:
        ReleaseError: A file is missing, is another than `model.json` says, or a field is out of its bounds.
    """
    try:
        return verify(folder)
    except BundleError as error:
        raise ReleaseError(str(error)) from None


def read_alone(path: Path) -> Manifest:
    """Read a `model.json` alone, for a bundle that is elsewhere.

    Raises:
        ReleaseError: It is missing, or a field is out of its bounds.
    """
    try:
        return parse(read_file(path, MANIFEST_BYTES), str(path))
    except BundleError as error:
        raise ReleaseError(str(error)) from None


def check_place(model: Manifest, uri: str) -> None:
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


def check_uploaded(model: Manifest, uri: str) -> None:
    """Refuse a place that does not hold the bundle, so that no environment is told to run what is not there.

    Args:
        model: The bundle that is to be pinned.
        uri: Where it should be; S3 is reached by the variables that every S3 client knows, AWS_*.

    Raises:
        ReleaseError: The place cannot be read, or has another bundle or only a part of it.
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
    """Return the manifest of a pinned model, where a copy is at hand; None where there is none or it is another."""
    try:
        return read_manifest(_copy(models, pins), pins.model_sha256)
    except BundleError:
        return None


def check_kind(models: Path, pins: Pins, environment: str) -> None:
    """Refuse a pin of `model.joblib`, as releases once had, where a copy of the bundle shows that it is one.

    Raises:
        ReleaseError: It is; a predictor would refuse it too.
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
