"""Model bundles: a scikit-learn pipeline with everything needed to verify and serve it.

A bundle is a folder `<root>/<name>/<version>/` with `model.joblib`, `model.json` and companions.
"""

from bundle import quantiles
from bundle.store import Bundle, dump, libraries, load, write
from manifest import MANIFEST_NAME, MODEL_NAME, TEXT_COLUMN, BundleError, Manifest, read_manifest, verify

__all__ = [
    "MANIFEST_NAME",
    "MODEL_NAME",
    "TEXT_COLUMN",
    "Bundle",
    "BundleError",
    "Manifest",
    "dump",
    "libraries",
    "load",
    "quantiles",
    "read_manifest",
    "verify",
    "write",
]
