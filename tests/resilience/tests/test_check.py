"""Tests of what is reported of a run."""

import json
from pathlib import Path

from resilience.check import Check, at_least, at_most, table, write


def test_a_figure_at_its_limit_is_enough() -> None:
    assert at_most("wait", 50, 50, "ms").ok
    assert not at_most("wait", 50.1, 50, "ms").ok
    assert at_least("goodput", 90, 90, "%").ok
    assert not at_least("goodput", 89.9, 90, "%").ok


def test_figures_are_told_with_unit_and_note() -> None:
    found = at_most("wait", 12.345, 50, "ms", "of 3,000 requests")
    assert (found.target, found.measured) == ("<= 50 ms", "12.3 ms (of 3,000 requests)")


def test_what_was_never_seen_is_told_and_falls_short() -> None:
    check = at_most("p99", float("inf"), 50, "ms")
    assert (check.measured, check.ok) == ("inf ms", False)


def test_table_marks_what_falls_short() -> None:
    lines = table([Check("a", "0", "0", True), Check("b", "0", "7", False)]).splitlines()
    assert lines[2:] == ["| a | 0 | 0 | yes |", "| b | 0 | 7 | **NO** |"]


def test_file_has_every_check(tmp_path: Path) -> None:
    write([Check("a", "0", "7", False)], tmp_path / "new" / "resilience.json")
    found = json.loads((tmp_path / "new" / "resilience.json").read_text())
    assert found == {"checks": [{"name": "a", "target": "0", "measured": "7", "ok": False}]}
