"""Whole bundle: its manifest, and every file that the manifest lists."""

import hashlib
import os
from pathlib import Path
from typing import Any, Protocol

from manifest.document import MANIFEST_BYTES, Manifest
from manifest.errors import BundleError
from manifest.fields import MANIFEST_NAME, MODEL_NAME, MODEL_SUFFIXES
from manifest.files import FILE_BYTES, digest_file, read_file
from manifest.pins import parse_pinned


class Store(Protocol):
    """Files under one URI by name, as `inferencelog.Store` provides them."""

    def open(self, path: str) -> Any:
        """Open a file: a context manager with `size` and `read`, like Arrow's files."""

    def uri(self, path: str = "") -> str:
        """Return the URI of a file, for a person."""


def read_manifest(folder: Path, pin: str | None = None) -> Manifest:
    """Read a bundle's `model.json` once and within limits, compare it with the pin, then parse it.

    Raises:
        BundleError: If the file is missing, does not match the pin, or is not a manifest.
    """
    path = folder / MANIFEST_NAME
    if not os.path.lexists(path):
        raise BundleError(f"{path} does not exist; point to a folder that `trainer train` wrote")
    return parse_pinned(read_file(path, MANIFEST_BYTES), str(path), pin)


def verify(folder: Path, pin: str | None = None) -> Manifest:
    """Check a whole bundle without unpickling; files that `model.json` does not list are ignored.

    Raises:
        BundleError: If `model.json` does not match the pin or is not a manifest, or if there are several model files.
            Also if a listed file is missing, changed, or not a regular file.
    """
    check_model_file(folder)
    manifest = read_manifest(folder, pin)
    check_listed(folder, manifest)
    return manifest


def check_model_file(folder: Path) -> None:
    """Refuse a folder with no model file or several, before any file is read.

    Raises:
        BundleError: If the folder or the model file is missing, or if there are several.
    """
    try:
        found = sorted(path.name for path in folder.iterdir() if path.suffix in MODEL_SUFFIXES)
    except FileNotFoundError:
        raise BundleError(
            f"model folder {folder} does not exist; KServe's storage initializer does not run in namespaces labelled "
            "control-plane, so check `kubectl get namespace --show-labels`; on one machine train the model first"
        ) from None
    except OSError as error:
        why = f"cannot be read ({error.strerror}); name the bundle's folder"
        raise BundleError(f"model folder {folder} {why}") from None
    if found != [MODEL_NAME]:
        kinds = ", ".join(f"*{suffix}" for suffix in MODEL_SUFFIXES)
        raise BundleError(
            f"{folder} must hold exactly one model file ({kinds}), {MODEL_NAME}, has {', '.join(found) or 'none'};"
            " keep only the one to serve"
        )


def check_listed(folder: Path, manifest: Manifest, *skipped: str) -> None:
    """Hash every file that `model.json` lists, except those in `skipped`.

    Raises:
        BundleError: If a file is missing, changed, or not a regular file.
    """
    for name in manifest.files:
        if name in skipped:
            continue
        path = _there(folder / name)
        _compare(str(path), digest_file(path), manifest, name)


def read_listed(folder: Path, manifest: Manifest, name: str) -> bytes:
    """Return the content of a file that `model.json` lists; the bytes that were hashed are returned.

    Raises:
        BundleError: If the file is missing, changed, or not a regular file.
    """
    path = _there(folder / name)
    content = read_file(path)
    _compare(str(path), hashlib.sha256(content).hexdigest(), manifest, name)
    return content


def read_stored(store: Store, pin: str | None = None) -> Manifest:
    """Read the `model.json` of a bundle in a store; raises as `read_manifest`, and what the store raises."""
    return parse_pinned(_fetch(store, MANIFEST_NAME, MANIFEST_BYTES), store.uri(MANIFEST_NAME), pin)


def download(store: Store, folder: Path, pin: str | None = None) -> Manifest:
    """Copy a bundle from a store into a folder; each file is checked before it is written.

    Args:
        store: Store of the bundle.
        folder: Existing folder to copy into.
        pin: Digest that the release pins.

    Raises:
        BundleError: For the reasons that `verify` gives. Errors of the store pass through.
    """
    content = _fetch(store, MANIFEST_NAME, MANIFEST_BYTES)
    manifest = parse_pinned(content, store.uri(MANIFEST_NAME), pin)
    # Names in a manifest contain no slash, so none leads out of the folder.
    for name in manifest.files:
        data = _fetch(store, name, FILE_BYTES)
        _compare(store.uri(name), hashlib.sha256(data).hexdigest(), manifest, name)
        (folder / name).write_bytes(data)
    (folder / MANIFEST_NAME).write_bytes(content)
    return manifest


def check_stored(store: Store, manifest: Manifest, name: str, content: bytes | memoryview) -> None:
    """Compare the content of a file of a store with its digest in `model.json`.

    Raises:
        BundleError: If they differ.
    """
    _compare(store.uri(name), hashlib.sha256(content).hexdigest(), manifest, name)


def _fetch(store: Store, name: str, limit: int) -> bytes:
    try:
        with store.open(name) as file:
            if file.size() > limit:
                raise BundleError(f"{store.uri(name)} is larger than {limit:,} bytes, the limit; train the bundle anew")
            return bytes(file.read(limit))
    except (OSError, ValueError) as error:
        raise BundleError(f"{store.uri(name)} cannot be read ({error}); upload the bundle again") from None


def _there(path: Path) -> Path:
    if not os.path.lexists(path):
        raise BundleError(f"{path} is missing, {MANIFEST_NAME} names it; copy the bundle again")
    return path


def _compare(path: str, digest: str, manifest: Manifest, name: str) -> None:
    recorded = manifest.files[name]
    if digest != recorded:
        raise BundleError(
            f"{path} has SHA-256 {digest}, {MANIFEST_NAME} says {recorded}; it was not unpickled: copy the bundle again"
        )
