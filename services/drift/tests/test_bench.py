"""Tests of the bench's draws, and of the figures that it writes."""

import json
import sys
from pathlib import Path

import calibrate
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import windows
from conftest import mails

from inferencelog import MEASURES, SCORE

COUNT = 6_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return rows as `rows.py` writes them; a mail's links are its number, negative if it has no HTML."""
    found = tmp_path_factory.mktemp("rows")
    columns = {name: mails(COUNT, spam=0.31, seed=1)[name] for name in MEASURES}
    columns["links"] = np.arange(1, COUNT + 1, dtype=np.float32)
    spam = columns[SCORE] >= 0.5
    about = {"spam": spam, "hard_ham": ~spam & (np.arange(COUNT) % 15 == 0), "group": np.arange(COUNT) // 40}
    for name, sign in (("mails.parquet", 1), ("no-html.parquet", -1)):
        table = pa.table({**columns, "links": sign * columns["links"], **about})
        pq.write_table(table.replace_schema_metadata({"threshold": "0.9"}), found / name)
    return found


@pytest.fixture(scope="module")
def corpus(folder: Path) -> windows.Mails:
    return windows.read_mails(folder)


def drawn(corpus: windows.Mails, scenario: str, rows: int = 1_000) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Return the numbers of the mails in the baseline and in the window."""
    draw = windows.SCENARIOS[scenario](corpus, rows, np.random.default_rng(1))
    baseline, window = (np.abs(columns["links"]).astype(int) - 1 for columns in (draw.baseline, draw.window))
    assert (len(baseline), len(window)) == (windows.BASELINE, rows)
    assert len(set(baseline)) == len(baseline) and not set(baseline) & set(window)
    return baseline, window


@pytest.mark.parametrize("scenario", windows.SCENARIOS)
def test_no_mail_is_on_both_sides_and_draws_differ(corpus: windows.Mails, scenario: str) -> None:
    _, window = drawn(corpus, scenario)
    if scenario != "hard_ham":
        assert len(set(window)) == len(window)
    again = windows.SCENARIOS[scenario](corpus, 1_000, np.random.default_rng(2))
    assert not np.array_equal(window, np.abs(again.window["links"]).astype(int) - 1)


@pytest.mark.parametrize(("scenario", "share"), [("undrifted", 0.31), ("spam_40", 0.40), ("spam_50", 0.50)])
def test_shares_of_spam(corpus: windows.Mails, scenario: str, share: float) -> None:
    _, window = drawn(corpus, scenario)
    assert corpus.spam[window].mean() == pytest.approx(share, abs=0.05)


def test_hard_ham_is_all_the_ham(corpus: windows.Mails) -> None:
    _, window = drawn(corpus, "hard_ham")
    assert (corpus.spam | corpus.hard_ham)[window].all()
    assert corpus.spam[window].mean() == pytest.approx(0.31, abs=0.05)


def test_only_the_window_is_without_html(corpus: windows.Mails) -> None:
    draw = windows.no_html(corpus, 500, np.random.default_rng(1))
    assert (draw.window["links"] < 0).all() and (draw.baseline["links"] > 0).all()


def test_campaigns_are_whole(corpus: windows.Mails) -> None:
    baseline, window = drawn(corpus, "campaigns")
    assert len(set(corpus.group[window])) == 1_000 // 40
    assert not set(corpus.group[window]) & set(corpus.group[baseline])


def test_figures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    counts = [f"--{name}windows=4" for name in ("", "null-", "hardest-", "campaign-")]
    monkeypatch.setattr(sys, "argv", ["calibrate", "--rows", str(folder), "--out", str(out), "--processes=1", *counts])
    calibrate.main()
    found = json.loads(out.read_text())
    for system in ("detector", "tabular_drift", "tabular_drift_p05"):
        assert (found[system]["windows"], found["windows_drawn"]["undrifted_1000"]) == (4, 4)
        # One of these windows is by chance so unusual that it appears once in 1,500.
        assert found[system]["false_alarms"] <= 1
        assert set(found[system]["detected"]) == {"spam_40", "spam_50", "hard_ham", "no_html"}
        assert all(set(shares) == {"200", "500", "1000"} for shares in found[system]["detected"].values())
        # Every link count is negative in these mails.
        assert found[system]["detected"]["no_html"] == {"200": 1, "500": 1, "1000": 1}
    assert found["detector"]["detected"]["spam_50"]["1000"] == 1
    assert set(found["detector"]) == {"false_alarms", "windows", "detected"}
    # The groups differ in their links in these rows.
    assert found["near_duplicates_together"]["detector"] == {"false_alarms": 4, "windows": 4}
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("|  | **this** |") and len(table) == 16
