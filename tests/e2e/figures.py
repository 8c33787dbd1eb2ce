"""Figures of a run for people: a table at its end, and in summary.md and summary.json."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from traffic import Result


@dataclass(slots=True)
class Figures:
    """Names and values in the order in which they were found."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    """Scenario, name and value of each figure."""

    def add(self, scenario: str, what: str, value: str) -> None:
        """Add a figure."""
        self.rows.append((scenario, what, value))

    def add_load(self, scenario: str, what: str, result: Result) -> None:
        """Add the result of a load."""
        self.add(scenario, what, result.line())

    def table(self) -> list[str]:
        """Return lines of Markdown."""
        if not self.rows:
            return []
        rows = [("scenario", "what", "figure"), *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
        ]
        return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]

    def write(self, folder: Path, outcome: str) -> None:
        """Write the table, and the same as JSON."""
        (folder / "summary.md").write_text("\n".join([f"# End to end: {outcome}", "", *self.table(), ""]))
        keys = ("scenario", "what", "figure")
        found = {"outcome": outcome, "figures": [dict(zip(keys, row, strict=True)) for row in self.rows]}
        (folder / "summary.json").write_text(json.dumps(found, indent=2) + "\n")
