"""`model.json`: what a bundle says about itself."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bundle.errors import BundleError
from bundle.quantiles import Quantiles, fault

MANIFEST_NAME = "model.json"
TEXT_COLUMN = "text"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Contents of `model.json`."""

    name: str
    version: str
    feature_schema_version: str
    columns: tuple[str, ...]
    """Columns of the model's table: the text first, then the named numbers."""
    threshold: float
    """Spam probability from which on a mail is called spam, 0 to 1."""
    metrics: dict[str, Any]
    libraries: dict[str, str]
    """Versions of what the model was pickled with, which is what it can be unpickled with."""
    corpus: dict[str, Any]
    files: dict[str, str]
    """SHA-256 (hex) of each other file of the bundle."""
    feature_quantiles: Quantiles | None = None
    """What the named numbers of the training mail are like; bundles made before there was this field have none."""

    def to_json(self) -> str:
        """The content of `model.json`."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"


_KINDS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "version": (str,),
    "feature_schema_version": (str,),
    "columns": (list,),
    "threshold": (float, int),
    "metrics": (dict,),
    "libraries": (dict,),
    "corpus": (dict,),
    "files": (dict,),
}


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's `model.json`.

    Raises:
        BundleError: The file is missing, no JSON, or lacks a field.
    """
    path = folder / MANIFEST_NAME
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise BundleError(f"{path} does not exist; point to a folder that `trainer train` wrote") from None
    except ValueError as error:
        raise BundleError(f"{path} is no JSON ({error}); copy the bundle again or train it anew") from None
    return _checked(content, path)


def _checked(content: object, path: Path) -> Manifest:
    if not isinstance(content, dict):
        raise BundleError(f"{path} holds no JSON object; copy the bundle again or train it anew")
    for name in _KINDS:
        _check_field(name, content.get(name), path)
    _check_quantiles(content, path)
    known: dict[str, Any] = {field.name: content.get(field.name) for field in fields(Manifest)}
    return Manifest(**{**known, "columns": tuple(known["columns"]), "threshold": float(known["threshold"])})


def _check_field(name: str, value: object, path: Path) -> None:
    kinds = _KINDS[name]
    if not isinstance(value, kinds) or isinstance(value, bool):
        found = "missing" if value is None else f"{type(value).__name__}"
        raise BundleError(f"{path}: field {name!r} must be {kinds[0].__name__}, is {found}; train the bundle anew")
    if name == "columns" and not (isinstance(value, list) and value and all(isinstance(v, str) for v in value)):
        raise BundleError(f"{path}: field 'columns' must name at least one column; train the bundle anew")
    if name == "threshold" and not (isinstance(value, (int, float)) and 0 <= value <= 1):
        raise BundleError(f"{path}: field 'threshold' must be 0 to 1, is {value}; train the bundle anew")


def _check_quantiles(content: dict[str, Any], path: Path) -> None:
    found = content.get("feature_quantiles")
    if found is not None and (why := fault(found, content["columns"][1:])):
        raise BundleError(f"{path}: field 'feature_quantiles' {why}; train the bundle anew")
