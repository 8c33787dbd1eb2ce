"""The baseline of a model's bundle: `model.json`, which a release pins, lists it and says whose it is."""

from dataclasses import replace

from drift.errors import DriftError
from inferencelog import Baseline, Store, StoreError, read_baseline_file, split_file
from manifest import BundleError, Manifest, check_stored, read_stored


def read_owned(uri: str, pin: str) -> Baseline:
    """Read a baseline, and where it lies in a bundle, verify it and give it the bundle's digest.

    Args:
        uri: The baseline's file.
        pin: SHA-256 of `model.json` that the release pins; "" for any.

    Raises:
        DriftError: The bundle is not the one pinned, or the baseline is not the one that it lists.
        inferencelog.LogError: The baseline cannot be read.
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
    # The file cannot name the digest of what lists it.
    return replace(found, model_sha256=manifest.sha256)


def _manifest(store: Store, pin: str) -> Manifest | None:
    """Return the manifest beside the baseline; None where there is none, as beside one that baseline-generator made."""
    try:
        # Not listed first: reading may be all that the job's credentials allow.
        return read_stored(store, pin or None)
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
