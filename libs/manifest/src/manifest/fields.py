"""Fields of `model.json`, and the rule for each."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from manifest.strict_json import shown

MANIFEST_NAME = "model.json"
MODEL_NAME = "model.joblib"
MODEL_SUFFIXES = (".joblib", ".pkl", ".pickle")
TEXT_COLUMN = "text"

MAX_COLUMNS = 256
MAX_ENTRIES = 256
"""Most metrics, libraries, corpus figures or files."""
MAX_LIST = 1000
"""Most numbers of one metric."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAME_RULE = "1 to 63 of A-Z a-z 0-9 . _ - and begin with a letter or digit"
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LIBRARY_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,62}")
_SETTING = re.compile(r"([A-Z_]{1,40}=[0-9.e+-]{1,40})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ManifestFieldError(Exception):
    """Error for a field that breaks its rule; the message gives the rule and the value found."""


def check_fields(content: Mapping[str, Any]) -> None:
    """Check every required field against its rule.

    Raises:
        FieldError: If a field is missing or breaks its rule; the message begins with its name.
    """
    for name, (kinds, check) in _RULES.items():
        value = content.get(name)
        if not isinstance(value, kinds) or isinstance(value, bool):
            found = "missing" if value is None else type(value).__name__
            raise ManifestFieldError(f"field {name!r} must be {kinds[0].__name__}, is {found}")
        check(name, value)
    _chosen_by("threshold_chosen_by", content.get("threshold_chosen_by", ""))


def is_sha256(text: object) -> bool:
    """Return whether a value is a SHA-256 as 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def _require(holds: object, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ManifestFieldError(f"field {name!r} must {rule}, is {shown(value)}")


def _name(name: str, value: str) -> None:
    _require(_NAME.fullmatch(value), name, f"be {_NAME_RULE}", value)


def _threshold(name: str, value: float) -> None:
    # At 0 all mail would be spam, at 1 none.
    _require(0 < value < 1, name, "be greater than 0 and less than 1", value)


def _chosen_by(name: str, value: object) -> None:
    _require(isinstance(value, str) and _SETTING.fullmatch(value), name, "be like THRESHOLD=0.9, or empty", value)


def _columns(name: str, value: list[Any]) -> None:
    _require(1 <= len(value) <= MAX_COLUMNS, name, f"name at least one column and at most {MAX_COLUMNS}", value)
    for column in value:
        rule = "name at least one column, each 1 to 64 of A-Z a-z 0-9 _ and no digit first"
        _require(isinstance(column, str) and _COLUMN.fullmatch(column), name, rule, column)
    _require(value[0] == TEXT_COLUMN, name, f"begin with {TEXT_COLUMN!r}", value[0])
    _require(len(set(value)) == len(value), name, "name each column once", value)


def _entries(name: str, value: dict[str, Any], known: re.Pattern[str], least: int = 0) -> None:
    _require(least <= len(value) <= MAX_ENTRIES, name, f"have {least} to {MAX_ENTRIES} entries", len(value))
    for key in value:
        _require(known.fullmatch(key), name, f"have names like {known.pattern}", key)


def _metrics(name: str, value: dict[str, Any]) -> None:
    _entries(name, value, _COLUMN)
    for metric, figure in value.items():
        figures = figure if isinstance(figure, list) else [figure]
        fits = len(figures) <= MAX_LIST and all(map(is_number, figures))
        _require(fits, f"{name}.{metric}", f"be a number, or a list of at most {MAX_LIST} numbers", figure)


def _libraries(name: str, value: dict[str, Any]) -> None:
    _entries(name, value, _NAME)
    for library, version in value.items():
        fits = isinstance(version, str) and _LIBRARY_VERSION.fullmatch(version)
        _require(fits, f"{name}.{library}", "be a version", version)


def _corpus(name: str, value: dict[str, Any]) -> None:
    _entries(name, value, _COLUMN)
    _require(is_sha256(value.get("digest", "0" * 64)), f"{name}.digest", "be a SHA-256", value.get("digest"))
    for kind in ("ham", "spam"):
        count = value.get(kind, 0)
        _require(type(count) is int and count >= 0, f"{name}.{kind}", "be a number of mails", count)
    for key, each in value.items():
        _require(isinstance(each, str) or is_number(each), f"{name}.{key}", "be a text or a number", each)


def _files(name: str, value: dict[str, Any]) -> None:
    _entries(name, value, _FILE, least=1)
    for file, digest in value.items():
        _require(is_sha256(digest), f"{name}.{file}", "be a SHA-256, 64 hexadecimal digits", digest)
    _require(MANIFEST_NAME not in value, name, f"not list {MANIFEST_NAME}", MANIFEST_NAME)
    models = [file for file in value if file.endswith(MODEL_SUFFIXES)]
    _require(models == [MODEL_NAME], name, f"list exactly one model file, {MODEL_NAME}", models)


def is_number(value: object) -> bool:
    """Return whether a value is a finite number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_RULES: dict[str, tuple[tuple[type, ...], Callable[[str, Any], None]]] = {
    "name": ((str,), _name),
    "version": ((str,), _name),
    "feature_schema_version": ((str,), _name),
    "columns": ((list,), _columns),
    "threshold": ((float, int), _threshold),
    "metrics": ((dict,), _metrics),
    "libraries": ((dict,), _libraries),
    "corpus": ((dict,), _corpus),
    "files": ((dict,), _files),
}
