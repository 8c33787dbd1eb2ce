"""Check of the suite: one line for each thing that must hold."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Args:
        name: Part and subject, such as "overload: goodput".
        target: Required value, in words with units.
        measured: Measured value, in the same units.
        ok: Whether the target is met.
    """

    name: str
    target: str
    measured: str
    ok: bool


def at_most(name: str, measured: float, limit: float, unit: str = "", note: str = "") -> Check:
    """Return a check that a figure is at most its limit; `note` says more about the measurement."""
    return Check(name, f"<= {_figure(limit, unit)}", _noted(_figure(measured, unit), note), measured <= limit)


def at_least(name: str, measured: float, limit: float, unit: str = "", note: str = "") -> Check:
    """Return a check that a figure is at least its limit; `note` says more about the measurement."""
    return Check(name, f">= {_figure(limit, unit)}", _noted(_figure(measured, unit), note), measured >= limit)


def table(checks: Sequence[Check]) -> str:
    """Return the checks as a Markdown table."""
    rows = [(check.name, check.target, check.measured, "yes" if check.ok else "**NO**") for check in checks]
    head = ("check", "target", "measured", "met")
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---|---|---|---|", *lines[1:]])


def write(checks: Sequence[Check], file: Path) -> None:
    """Write `{"checks": [{"name", "target", "measured", "ok"}]}`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"checks": [asdict(check) for check in checks]}, indent=2) + "\n")


def _figure(value: float, unit: str) -> str:
    is_round = abs(value) >= 1000 or value % 1 == 0
    text = f"{value:,.0f}" if is_round else f"{value:,.3g}"
    return f"{text} {unit}".strip()


def _noted(figure: str, note: str) -> str:
    return f"{figure} ({note})" if note else figure
