"""Baseline of a bundle: `model.json`, which a release pins, lists its file and names the model it belongs to."""

from dataclasses import replace

from drift.errors import DriftError
from inferencelog import Baseline, Store, StoreError, read_baseline_file, split_file
from manifest import BundleError, Manifest, check_stored, read_stored


def read_owned(uri: str, pin: str) -> Baseline:
    """Return a baseline. If it lies in a bundle, verify it and set its digest to the bundle's.

    Args:
        uri: File of the baseline.
        pin: SHA-256 of `model.json` that the release pins; "" for any.

    Raises:
        DriftError: If the bundle is not the pinned one, or if the baseline is not the one that the bundle lists.
        inferencelog.LogError: If the baseline cannot be read.
    """
    store, name = split_file(uri)
    found, data = read_baseline_file(uri)
    try:
        manifest = _manifest(store, pin)
        if manifest is None or name not in manifest.files:
            return found
        check_stored(store, manifest, name, data)
    except BundleError as error:
        raise DriftError(f"the baseline {uri} lies in a bundle that is not the one released: {error}") from None
    # The file cannot hold this digest, because `model.json` holds the file's own.
    return replace(found, model_sha256=manifest.sha256)


def _manifest(store: Store, pin: str) -> Manifest | None:
    """Return the manifest beside the baseline; None if there is none, as for one made by baseline-generator."""
    try:
        # Read without listing first: the job's credentials may allow reading only.
        return read_stored(store, pin or None)
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
