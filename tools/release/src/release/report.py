"""Report of changes for people, on a pull request and in a commit message."""

import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inferencelog import printable
from release.changes import Change, count

KEY_CHARACTERS = 300
"""Most characters of an object's kind, namespace and name together."""


@dataclass(frozen=True, slots=True)
class NotCompared:
    """Reason why an environment has no changes to show."""

    reason: str
    ours: bool
    """Whether this branch does not render; otherwise its base does not."""


Result = Sequence[Change] | NotCompared


def as_markdown(results: Mapping[str, Result], limit: int) -> str:
    """Return a table of environments, and a folded diff for each object.

    Args:
        results: Results by environment.
        limit: Number of characters after which objects are named without their diff; GitHub refuses comments over
            65,536.
    """
    parts = ["### What this branch changes in the cluster", "", *_table(results)]
    used = sum(map(len, parts))
    for environment, result in results.items():
        if isinstance(result, NotCompared):
            where = "on this branch" if result.ours else "before this branch"
            parts += ["", f"**{_plain(environment)} does not render {where}**", "", *_fenced(result.reason, "text")]
        elif result:
            parts += ["", f"#### {_plain(environment)}"]
            for change in result:
                part = _section(change)
                used += len(part)
                parts.append(
                    part if used <= limit else f"- {change.what}: `{_plain(change.key)}` (too long to show here)"
                )
    if used > limit:
        parts += ["", "Not all fits here: `make diff LIMIT=0` shows it on a clone."]
    return "\n".join(parts) + "\n"


def _table(results: Mapping[str, Result]) -> list[str]:
    rows = ["| environment | added | changed | removed |", "|---|---|---|---|"]
    for environment, result in results.items():
        counts = None if isinstance(result, NotCompared) else Counter(change.what for change in result)
        cells = ["?" if counts is None else str(counts[what]) for what in ("added", "changed", "removed")]
        rows.append(f"| {_plain(environment)} | {' | '.join(cells)} |")
    return rows


def _section(change: Change) -> str:
    key = html.escape(printable(change.key, KEY_CHARACTERS))
    summary = f"<details><summary>{change.what}: <code>{key}</code></summary>"
    return "\n".join([summary, "", *_fenced(change.diff, "diff"), "", "</details>"])


def _plain(name: object) -> str:
    """Return a name that a branch has chosen as plain text without markup."""
    return re.sub(r"[^A-Za-z0-9 ._:/-]", "?", printable(name, KEY_CHARACTERS))


def _fenced(text: str, language: str) -> list[str]:
    """Return a code block whose fence is longer than any in the text, so that it cannot end early."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return [fence + language, text, fence]


def as_text(changes: Sequence[Change], limit: int) -> str:
    """Return changes for a commit message, indented so that no line of a diff is taken for a line of the message."""
    lines = [f"Rendered objects: {count(changes)}"]
    for change in changes:
        lines += ["", f"{change.what}: {printable(change.key, KEY_CHARACTERS)}"]
        lines += [f"    {line}" for line in change.diff.splitlines()]
    text = "\n".join(lines)
    if limit and len(text) > limit:
        shown = text[:limit].splitlines()[:-1]
        rest = len(text.splitlines()) - len(shown)
        text = "\n".join([*shown, f"    … {rest} lines more: make diff BASE=<this commit>^ LIMIT=0"])
    return text
