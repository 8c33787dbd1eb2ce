"""Manifest of a model bundle, `model.json`: it lists every other file's SHA-256, and a release pins its own.

It uses only the standard library: neither pinning a model nor comparing with its baseline requires scikit-learn. Every
service checks a bundle through this package, so all accept and refuse the same bundles.
"""

from manifest.document import GROUPS, LEVELS, MANIFEST_BYTES, Manifest, Quantiles, parse
from manifest.errors import BundleError
from manifest.fields import MANIFEST_NAME, MODEL_NAME, MODEL_SUFFIXES, TEXT_COLUMN
from manifest.files import FILE_BYTES, digest_file, read_file
from manifest.pins import check_pin, parse_pinned
from manifest.whole import (
    check_listed,
    check_model_file,
    check_stored,
    download,
    read_listed,
    read_manifest,
    read_stored,
    verify,
)

__all__ = [
    "FILE_BYTES",
    "GROUPS",
    "LEVELS",
    "MANIFEST_BYTES",
    "MANIFEST_NAME",
    "MODEL_NAME",
    "MODEL_SUFFIXES",
    "TEXT_COLUMN",
    "BundleError",
    "Manifest",
    "Quantiles",
    "check_listed",
    "check_model_file",
    "check_pin",
    "check_stored",
    "digest_file",
    "download",
    "parse",
    "parse_pinned",
    "read_file",
    "read_listed",
    "read_manifest",
    "read_stored",
    "verify",
]
