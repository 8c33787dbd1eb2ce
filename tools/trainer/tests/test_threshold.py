"""Tests of how the threshold is chosen: the settings, what stays, and what the bundle says."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import bundle
from trainer import evaluate
from trainer.cli import main
from trainer.corpus import read_corpus
from trainer.errors import TrainerError
from trainer.threshold import ThresholdChoice, choose, keep, note, noted, read
from trainer.train import version_of

SPAM = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.5, 0.8, 0.25, 0.6, 0.9, 0.95])


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_FALSE_POSITIVES", "THRESHOLD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("", ""), ThresholdChoice(0.01)),
        (("0.02", ""), ThresholdChoice(0.02)),
        (("0", ""), ThresholdChoice(0.0)),
        (("", "0.9"), ThresholdChoice(given=0.9)),
        (("", " .5 "), ThresholdChoice(given=0.5)),
    ],
)
def test_settings_are_read(settings: tuple[str, str], expected: ThresholdChoice) -> None:
    assert read(*settings) == expected


@pytest.mark.parametrize("value", ["1", "-0.1", "2", "nan", "inf", "0,1", "0.1%", "much", "1e400"])
def test_a_share_of_ham_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(TrainerError) as refused:
        read(value, "")
    assert str(refused.value) == (
        f"MAX_FALSE_POSITIVES must be a share of the ham from 0 to below 1, such as 0.001, is {value!r}"
    )


@pytest.mark.parametrize("value", ["0", "-0", "1", "-0.1", "94.8", "nan", "inf", "0,9", "90%", "high"])
def test_a_threshold_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(TrainerError) as refused:
        read("", value)
    assert str(refused.value) == f"THRESHOLD must be above 0 and below 1, such as 0.9, is {value!r}"


def test_both_at_once_are_refused() -> None:
    with pytest.raises(TrainerError, match="both choose the threshold: set one of them"):
        read("0.001", "0.9")


def test_a_limit_or_a_value_gives_the_threshold() -> None:
    found = [evaluate.threshold_by(ThresholdChoice(limit), SPAM, SCORES) for limit in (0.25, 0.0)]
    assert found == [0.6, 0.9]
    assert evaluate.threshold_by(ThresholdChoice(given=0.5), SPAM, SCORES) == 0.5


NINE = {"THRESHOLD": "0.9"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "THRESHOLD=0.7"),
        (NINE, "THRESHOLD=0.9"),
        ({"MAX_FALSE_POSITIVES": "0.03"}, "MAX_FALSE_POSITIVES=0.03"),
        ({"THRESHOLD": "", "MAX_FALSE_POSITIVES": "0.03"}, "MAX_FALSE_POSITIVES=0.03"),
        ({"THRESHOLD": ""}, "MAX_FALSE_POSITIVES=0.01"),
        ({"MAX_FALSE_POSITIVES": ""}, "MAX_FALSE_POSITIVES=0.01"),
    ],
)
def test_a_choice_stays_until_another_is_made(tmp_path: Path, environ: Mapping[str, str], expected: str) -> None:
    keep(ThresholdChoice(given=0.7), tmp_path / "trained")
    assert str(choose(environ, tmp_path / "trained")) == expected


def test_the_default_needs_no_file(tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    assert choose({}, trained) == ThresholdChoice()
    keep(ThresholdChoice(given=0.7), trained)
    keep(ThresholdChoice(), trained)
    assert not trained.exists()


def test_a_choice_is_noted_anew_only_when_it_is_another(tmp_path: Path) -> None:
    at = tmp_path / "threshold"
    note(ThresholdChoice(given=0.9), at)
    os.utime(at, ns=(1, 1))
    note(ThresholdChoice(given=0.9), at)
    assert (at.stat().st_mtime_ns, noted(at)) == (1, ThresholdChoice(given=0.9))
    note(ThresholdChoice(0.002), at)
    assert at.stat().st_mtime_ns > 1 and at.read_text() == "MAX_FALSE_POSITIVES=0.002\n"


@pytest.mark.parametrize("content", ["", "0.9", "LIMIT=0.9", "THRESHOLD=", "THRESHOLD=2"])
def test_a_note_that_is_no_choice_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "threshold").write_text(content)
    with pytest.raises(TrainerError, match="must "):
        noted(tmp_path / "threshold")


def test_the_command_notes_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["threshold", "--trained", str(tmp_path / "trained"), "--note", str(tmp_path / "threshold")]
    monkeypatch.setenv("THRESHOLD", "0.9")
    assert main(command) == 0 and capsys.readouterr().out == ""
    assert (tmp_path / "threshold").read_text() == "THRESHOLD=0.9\n"
    monkeypatch.setenv("MAX_FALSE_POSITIVES", "0.1")
    assert main(command) == 1
    assert capsys.readouterr().err.splitlines() == [
        "trainer: MAX_FALSE_POSITIVES and THRESHOLD both choose the threshold: set one of them"
    ]
    assert (tmp_path / "threshold").read_text() == "THRESHOLD=0.9\n", "a refused choice changes nothing"


def test_the_choice_is_part_of_the_version(corpus: Path) -> None:
    found = read_corpus(corpus)
    choices = [ThresholdChoice(), ThresholdChoice(0.02), ThresholdChoice(given=0.9), ThresholdChoice(given=0.5)]
    assert len({version_of(found, choice) for choice in choices}) == len(choices)
    assert version_of(found) == version_of(found, ThresholdChoice(0.01))


def test_a_given_threshold_is_that_of_the_bundle(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAX_FALSE_POSITIVES", "0.5")  # An option on the command line goes first.
    out, kept = tmp_path / "out", tmp_path / "kept"
    command = ["train", "--corpus", str(corpus), "--out", str(out), "--threshold", "0.625"]
    assert main([*command, "--trained-threshold", str(kept)]) == 0
    printed = capsys.readouterr()
    manifest = bundle.read_manifest(Path(printed.out.strip()))
    assert (manifest.threshold, manifest.threshold_chosen_by) == (0.625, "THRESHOLD=0.625")
    assert "false_positive_rate_limit" not in manifest.metrics
    assert "threshold 0.6250, chosen by THRESHOLD=0.625" in printed.err
    card = (Path(printed.out.strip()) / "model-card.md").read_text()
    assert "probability of 0.6250 or more, chosen by `THRESHOLD=0.625`.\nIt was given, not measured" in card
    assert f"| spam caught at the threshold | {manifest.metrics['spam_caught']:.1%} |" in card
    assert kept.read_text() == "THRESHOLD=0.625\n"


def test_nonsense_is_refused_before_training(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THRESHOLD", "90 %")
    assert main(["train", "--corpus", str(corpus), "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "trainer: THRESHOLD must be above 0 and below 1, such as 0.9, is '90 %'"
    ]
    assert not (tmp_path / "out").exists()
