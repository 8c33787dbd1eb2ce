"""Changes between two renderings of an environment."""

import difflib
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from release.chart import Key, Objects

What = Literal["added", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """Object that one of two renderings lacks, or that differs between them."""

    key: Key
    what: What
    diff: str
    """Diff lines, each beginning with a space, + or -, or @@."""


def compare(before: Objects, after: Objects) -> list[Change]:
    """Return the changes, ordered by kind, namespace and name."""
    return [
        Change(key, _what(key, before, after), _diff(before.get(key), after.get(key)))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def count(changes: Sequence[Change]) -> str:
    """Return the number of objects of each kind of change: `1 added, 2 changed, 0 removed`."""
    counts = Counter(change.what for change in changes)
    return ", ".join(f"{counts[what]} {what}" for what in ("added", "changed", "removed"))


def _what(key: Key, before: Objects, after: Objects) -> What:
    if key not in before:
        return "added"
    return "changed" if key in after else "removed"


def _diff(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    lines = difflib.unified_diff(_lines(before), _lines(after), lineterm="")
    return "\n".join(list(lines)[2:])  # without the file names


def _lines(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    shown = _hidden(found) if found["kind"] == "Secret" else found
    return yaml.dump(shown, Dumper=_Dumper, allow_unicode=True, width=1000).splitlines()


def _hidden(secret: dict[str, Any]) -> dict[str, Any]:
    """Return a Secret with its values hidden but comparable, because many people read pull requests."""
    hidden = dict(secret)
    for field in ("data", "stringData"):
        values = secret.get(field) or {}
        hidden[field] = {key: f"(SHA-256 {_short_hash(value)})" for key, value in values.items()}
    return hidden


def _short_hash(value: object) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()[:12]


class _Dumper(yaml.SafeDumper):
    """Dumper that writes long texts, such as dashboards and rules, line by line: a diff then shows the changed line."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent)
