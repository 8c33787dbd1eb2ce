"""Golden features: what the fixed mails of `golden_mails` gave when their schema version was set.

`make golden-features` writes them anew. It refuses if a feature changed and `SCHEMA_VERSION` did not, unless
`UNRELEASED=1` says that no model of this version is in use yet.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

from golden_mails import MAILS

import features

FILE = Path(__file__).with_name("golden.json")
COMMAND = "make golden-features"

Golden = dict[str, Any]
"""`schema_version`, and for each of `mails` its `words`, separated by blanks, and its `numbers` by name."""


def current() -> Golden:
    """Return what the fixed mails give now."""
    return {"schema_version": features.SCHEMA_VERSION, "mails": {name: _features(mail) for name, mail in MAILS.items()}}


def _features(mail: bytes) -> dict[str, Any]:
    found = features.extract(mail)
    return {"words": found.text, "numbers": dict(zip(features.NAMES, found.values, strict=True))}


def kept() -> Golden:
    """Return what is written; nothing if there is no file."""
    return json.loads(FILE.read_text()) if FILE.exists() else {"schema_version": "", "mails": {}}


def changes(old: Golden, new: Golden) -> list[str]:
    """Return one line for each mail whose features differ; a mail that only one of both has is no difference."""
    lines = []
    for name in old["mails"].keys() & new["mails"].keys():
        if found := _changes(old["mails"][name], new["mails"][name]):
            lines.append(f"mail {name!r}: {'; '.join(found)}")
    return sorted(lines)


def _changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before, after = old["numbers"], new["numbers"]
    found = [f"no number {name}" for name in before if name not in after]
    found += [f"new number {name}" for name in after if name not in before]
    found += [
        f"{name} is {after[name]:g}, was {before[name]:g}"
        for name in before
        if name in after and not math.isclose(before[name], after[name], rel_tol=1e-9)
    ]
    if not found and list(before) != list(after):
        found.append("the numbers have another order")
    return found + _word_changes(old["words"].split(), new["words"].split())


def _word_changes(before: list[str], after: list[str]) -> list[str]:
    found = [f"no word {word}" for word in before if word not in after]
    found += [f"new word {word}" for word in after if word not in before]
    return found or (["the words have another order"] if before != after else [])


def fault(old: Golden, new: Golden) -> str:
    """Return what is wrong with the goldens, and what to do, or "" if they hold."""
    lines = changes(old, new)
    same_version = old["schema_version"] == new["schema_version"]
    if lines and same_version:
        return "\n".join([f"features changed and SCHEMA_VERSION is still {new['schema_version']!r}:", *lines, _ADVICE])
    if not same_version:
        return (
            f"SCHEMA_VERSION is {new['schema_version']!r}, the goldens have {old['schema_version']!r}: run `{COMMAND}`"
        )
    if old["mails"].keys() != new["mails"].keys():
        names = ", ".join(sorted(old["mails"].keys() ^ new["mails"].keys()))
        return f"mails without goldens, or goldens without mails: {names}: run `{COMMAND}`"
    return ""


_ADVICE = (
    f"Raise SCHEMA_VERSION in features.extract and run `{COMMAND}`; models of the old version need to be trained anew."
    f" If no model of this version is in use yet, run `{COMMAND} UNRELEASED=1`."
)


def main(arguments: list[str]) -> int:
    """Write the goldens anew and return the exit code."""
    old, new = kept(), current()
    lines = changes(old, new)
    if lines and old["schema_version"] == new["schema_version"] and "--unreleased" not in arguments:
        print(fault(old, new), file=sys.stderr)
        return 1
    FILE.write_text(json.dumps(new, indent=1) + "\n")
    print("\n".join([*lines, f"{FILE.name}: {len(lines)} mails changed, schema version {new['schema_version']}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
