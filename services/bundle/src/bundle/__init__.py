"""Model bundles: a scikit-learn pipeline with all that is needed to check and serve it.

A bundle is a folder `<root>/<name>/<version>/` with `model.joblib`, `model.json` and companions.
"""

from bundle import quantiles
from bundle.errors import BundleError
from bundle.manifest import MANIFEST_NAME, TEXT_COLUMN, Manifest, read_manifest
from bundle.store import MODEL_NAME, Bundle, dump, libraries, load, verify, write

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
