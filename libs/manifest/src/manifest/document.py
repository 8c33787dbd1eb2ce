"""Document `model.json`: the contents that a bundle declares."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from manifest.errors import BundleError
from manifest.fields import ManifestFieldError, check_fields, is_number
from manifest.strict_json import loads

MANIFEST_BYTES = 2**20
"""Most bytes of `model.json`; the trainer's has about 10,000."""

GROUPS = ("all", "ham", "spam")
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

Quantiles = Mapping[str, Mapping[str, Sequence[float]]]
"""Values at `LEVELS`, by group of mails and named number."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Contents of `model.json`; unknown fields are ignored."""

    name: str
    version: str
    feature_schema_version: str
    columns: tuple[str, ...]
    """Columns of the model's table: the text first, then the named numbers."""
    threshold: float
    """Spam probability at or above which a mail is called spam, between 0 and 1."""
    metrics: dict[str, Any]
    libraries: dict[str, str]
    """Versions of the libraries that pickled the model, and that can unpickle it."""
    corpus: dict[str, Any]
    files: dict[str, str]
    """SHA-256 (hex) of each other file of the bundle."""
    feature_quantiles: Quantiles | None
    """Quantiles of the named numbers of the training mail; None in bundles older than this field."""
    sha256: str
    """SHA-256 (hex) of `model.json` itself: the bundle's digest, which a release pins and every answer names."""
    threshold_chosen_by: str = ""
    """Setting that chose the threshold, such as `THRESHOLD=0.9`; empty in bundles older than this field."""


def parse(content: bytes, where: str) -> Manifest:
    """Return the manifest in the content of a `model.json`.

    Args:
        content: Content of the file.
        where: Name of the file, for error messages.

    Raises:
        BundleError: If the content is not a JSON object, or if a field is missing or outside its limits.
    """
    if len(content) > MANIFEST_BYTES:
        raise BundleError(f"{where} is larger than {MANIFEST_BYTES:,} bytes, the limit; train the bundle anew")
    try:
        found = loads(content)
    except ValueError as error:
        raise BundleError(f"{where} is no JSON ({error}); copy the bundle again or train it anew") from None
    if not isinstance(found, dict):
        raise BundleError(f"{where} holds no JSON object; copy the bundle again or train it anew")
    try:
        check_fields(found)
        _check_quantiles(found)
    except ManifestFieldError as error:
        raise BundleError(f"{where}: {error}; train the bundle anew") from None
    return _manifest(found, hashlib.sha256(content).hexdigest())


def _manifest(found: dict[str, Any], sha256: str) -> Manifest:
    return Manifest(
        name=found["name"],
        version=found["version"],
        feature_schema_version=found["feature_schema_version"],
        columns=tuple(found["columns"]),
        threshold=float(found["threshold"]),
        metrics=found["metrics"],
        libraries=found["libraries"],
        corpus=found["corpus"],
        files=found["files"],
        feature_quantiles=found.get("feature_quantiles"),
        sha256=sha256,
        threshold_chosen_by=found.get("threshold_chosen_by", ""),
    )


def _check_quantiles(content: dict[str, Any]) -> None:
    found = content.get("feature_quantiles")
    if found is not None and (why := _fault(found, content["columns"][1:])):
        raise ManifestFieldError(f"field 'feature_quantiles' {why}")


def _fault(content: Any, names: Sequence[str]) -> str:
    """Return the reason why a value is not `Quantiles` of these numbers; empty if it is."""
    if not isinstance(content, dict) or set(content) != set(GROUPS):
        return f"must have the groups {', '.join(GROUPS)}"
    for group, numbers in content.items():
        if not isinstance(numbers, dict) or set(numbers) != set(names):
            return f"must have each of the model's numbers in group {group!r}"
        for name, values in numbers.items():
            if not _rising(values):
                return f"must have {len(LEVELS)} rising numbers for {name!r} in group {group!r}"
    return ""


def _rising(values: object) -> bool:
    if not isinstance(values, list) or len(values) != len(LEVELS) or not all(map(is_number, values)):
        return False
    return all(low <= high for low, high in pairwise(values))
