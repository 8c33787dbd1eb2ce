"""Tests of hostile text: what others have written into the log, a bundle or Prometheus's answer stays plain text."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import NOW, START, Bundles, answers, configure, mails, shadow
from test_health import Told, told, url

from evidence.build import EvidenceSettings, make
from evidence.prometheus import Prometheus, PrometheusError
from evidence.report import cell, write

__all__ = ["told", "url"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\n\n# lines\x1b[31m", "two `#` lines?\\[31m"),
        ("a | b", "a \\| b"),
        ("<img src=x>", "\\<img src=x\\>"),
        ("ask @admin", "ask `@admin`"),
        ("see https://evil.example/x?y|z", "see `https://evil.example/x?y?z`"),
        ("![x](y) `z` &amp;", "!\\[x\\](y) \\`z\\` \\&amp;"),
        ("\u202egpj.exe", "?gpj.exe"),
    ],
)
def test_text_of_others_stays_in_its_cell(text: str, shown: str) -> None:
    assert cell(text) == shown


def test_values_that_no_mail_has_are_left_out(settings: EvidenceSettings, bundles: Bundles, tmp_path: Path) -> None:
    configure(settings.root, require_health=False)
    shadow(settings, answers(bundles, mails(20)))
    (path,) = Path(settings.log_uri, "_shadow").rglob("*.parquet")
    table = pq.read_table(pa.BufferReader(path.read_bytes()))
    odd = {
        "probability": [7.0, -1.0, np.nan, None],
        "seconds": [-1.0, np.inf],
        "words": [np.nan, -5.0],
        "position": [None, -1],
        "prediction": ["<b>\nspam", None],
        "request_id": [None],
    }
    row = 0
    for name, values in odd.items():
        column = table[name].to_pylist()
        for value in values:
            column[row], row = value, row + 1
        place = table.column_names.index(name)
        table = table.set_column(place, table.field(name), pa.array(column).cast(table[name].type))
    pq.write_table(table, path)
    evidence = make(settings, NOW)
    assert (evidence.shadow.agreement.mails, evidence.shadow.unusable) == (20 - row, row)
    write(evidence, tmp_path / "out")
    json.loads((tmp_path / "out/evidence.json").read_text(), parse_constant=pytest.fail)


def test_a_hostile_request_id_is_code_in_the_report(
    settings: EvidenceSettings, bundles: Bundles, tmp_path: Path
) -> None:
    configure(settings.root, require_health=False)
    hostile = "`|<script>\n@admin\x1b[31m"
    shadow(settings, answers(bundles, [(hostile, "spam", "ham")]))
    write(make(settings, NOW), tmp_path)
    report = (tmp_path / "evidence.md").read_text()
    assert "\x1b" not in report and "<script>" not in report
    assert re.search(r"\| `\?\?\?script\?[^|`]*` \| 0 \|", report)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "x"])
def test_a_count_that_is_none_proves_nothing(told: Told, url: str, value: str) -> None:
    told.outcomes["failed"] = value  # type: ignore[assignment]
    with pytest.raises(PrometheusError, match="negative or no finite number"):
        Prometheus(url).at("sum by (outcome) (x)", NOW)


def test_readiness_that_is_no_number_is_a_gap(told: Told, url: str) -> None:
    told.ready[START] = float("inf")
    (series,) = Prometheus(url).over("ready", START, NOW, 60)
    assert START.timestamp() not in series
