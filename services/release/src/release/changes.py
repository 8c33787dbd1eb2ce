"""What differs between two renderings of an environment."""

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
    """An object that one of two renderings lacks, or that they have differently."""

    key: Key
    what: What
    diff: str
    """Lines that begin with a space, + or -, or @@."""


def compare(before: Objects, after: Objects) -> list[Change]:
    """Changes by kind, namespace and name."""
    return [
        Change(key, _what(key, before, after), _diff(before.get(key), after.get(key)))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def count(changes: Sequence[Change]) -> str:
    """How many objects of each sort: `1 added, 2 changed, 0 removed`."""
    counts = Counter(change.what for change in changes)
    return ", ".join(f"{counts[what]} {what}" for what in ("added", "changed", "removed"))


def _what(key: Key, before: Objects, after: Objects) -> What:
    if key not in before:
        return "added"
    return "changed" if key in after else "removed"


def _diff(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    lines = difflib.unified_diff(_lines(before), _lines(after), lineterm="")
    return "\n".join(list(lines)[2:])  # without the names of the files


def _lines(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    shown = _hidden(found) if found["kind"] == "Secret" else found
    return yaml.dump(shown, Dumper=_Dumper, allow_unicode=True, width=1000).splitlines()


def _hidden(secret: dict[str, Any]) -> dict[str, Any]:
    """A Secret that shows whether it has changed and not what it holds: pull requests are read by many."""
    hidden = dict(secret)
    for field in ("data", "stringData"):
        values = secret.get(field) or {}
        hidden[field] = {key: f"(SHA-256 {_short_hash(value)})" for key, value in values.items()}
    return hidden


def _short_hash(value: object) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()[:12]


class _Dumper(yaml.SafeDumper):
    """Writes texts of many lines, dashboards and rules, line by line: a diff shows the line that has changed."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent)
