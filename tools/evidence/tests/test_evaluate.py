"""Tests of `evaluate` on labelled mail, and of evidence between models of other corpora."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import NOW, Bundles, answers, configure, mail, mails, shadow, train
from scipy import stats
from sklearn.metrics import brier_score_loss, roc_auc_score

import bundle
import features
from evidence.build import EvidenceSettings, make
from evidence.evaluation import cli, scores
from evidence.evaluation.comparison import discordant
from evidence.evaluation.figures import Figures, figures
from evidence.evaluation.scores import ModelScores
from inferencelog import read_scored
from trainer.corpus import read_corpus

PNG = b"\x89PNG\r\n\x1a\n"
FILES = {"evaluation.json", "evaluation.txt", "scores.parquet", "reliability.png", "curves.png"}


def labelled(path: Path, seeds: Iterable[int], kinds: tuple[int, ...] = (0, 1)) -> Path:
    """Write mails that no model of the fixtures has seen."""
    lines = [json.dumps({"spam": kind, "mail": mail(bool(kind), seed)}) + "\n" for seed in seeds for kind in kinds]
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(tmp_path_factory.mktemp("mail") / "fresh.jsonl", range(1000, 1300))


@pytest.fixture(scope="session")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of a model that was trained on another corpus."""
    root = tmp_path_factory.mktemp("other")
    labelled(root / "mails.jsonl", range(5000, 5250))
    return train(read_corpus(root), root / "retrained")


def run(corpus: Path, out: Path, *bundles: Path) -> int:
    options = [text for pair in zip(("--bundle", "--compare"), map(str, bundles), strict=False) for text in pair]
    return cli.main(["--corpus", str(corpus), "--out", str(out), *options])


def found(corpus: Path, out: Path, *bundles: Path) -> dict[str, Any]:
    assert run(corpus, out, *bundles) == 0
    content: dict[str, Any] = json.loads((out / "evaluation.json").read_text())
    return content


def test_figures_are_those_of_the_scores(bundles: Bundles, fresh: Path, tmp_path: Path) -> None:
    content = found(fresh, tmp_path / "out", bundles.production)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    (figures,) = content["models"]
    scored = read_scored((tmp_path / "out/scores.parquet").read_bytes(), "")
    loaded = bundle.load(bundles.production)
    first = features.extract(mail(False, 1000))
    assert scored.scores[0] == pytest.approx(loaded.score([first.text], np.array([first.values]))[0])
    called = scored.scores >= loaded.manifest.threshold
    assert figures["auc"]["area"] == pytest.approx(roc_auc_score(scored.spam, scored.scores))
    assert figures["auc"]["interval"][0] < figures["auc"]["area"] < figures["auc"]["interval"][1] < 1
    assert figures["brier"] == pytest.approx(brier_score_loss(scored.spam, scored.scores))
    for name, kind in (("ham_called_spam", 0), ("spam_caught", 1)):
        assert (figures[name]["count"], figures[name]["of"]) == (int(called[scored.spam == kind].sum()), 300)
        expected = stats.binomtest(figures[name]["count"], 300).proportion_ci(method="wilson")
        assert figures[name]["interval"] == pytest.approx([expected.low, expected.high])
    for step in figures["sweep"]:
        assert step["ham_called_spam"]["count"] <= int(step["limit"] * 300)
        assert step["spam_caught"]["count"] == int((scored.scores[scored.spam == 1] >= step["threshold"]).sum())
    assert content["corpus"]["mails"] == 600 and content["comparison"] is None


def test_the_table_names_corpus_and_model(
    bundles: Bundles, fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fresh, tmp_path / "out", bundles.production) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"corpus: {fresh}, 600 mails, 300 spam\n")
    assert printed.splitlines()[-1] == f"tables, curves, reliability and scores: {tmp_path}/out"
    for line in (
        "model  ",
        "AUC  ",
        "ham called spam  ",
        "spam caught  ",
        "expected calibration",
        "Brier",
        "0.1%, 0 mails",
    ):
        assert f"\n{line}" in printed
    assert (tmp_path / "out/evaluation.txt").read_text() in printed


def test_models_of_other_corpora_are_compared(bundles: Bundles, retrained: Path, fresh: Path, tmp_path: Path) -> None:
    compared = found(fresh, tmp_path / "out", retrained, bundles.worse)["comparison"]
    assert compared["auc"]["first"] > compared["auc"]["second"] and compared["auc"]["p"] < 0.01
    for kind in ("ham_called_spam", "spam_missed"):
        only = compared[kind]["first_only"], compared[kind]["second_only"]
        assert compared[kind]["p"] == pytest.approx(stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1)
    turned = found(fresh, tmp_path / "out", bundles.worse, retrained)["comparison"]
    assert turned["auc"]["p"] == pytest.approx(compared["auc"]["p"])


def test_mail_that_was_learned_from_counts_out_of_fold(
    bundles: Bundles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mails.jsonl"
    labelled(path, range(250))
    content = found(path, tmp_path / "out", bundles.production)
    own = read_scored((bundles.production / "evaluation.parquet").read_bytes(), "")
    assert content["models"][0]["scored_out_of_fold"] == 500
    assert content["models"][0]["auc"]["area"] == pytest.approx(roc_auc_score(own.spam, own.scores))
    assert "learned from 500 of these mails: those count out of fold" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [0, 1])
def test_mail_of_one_kind_has_no_auc(
    bundles: Bundles, retrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: int
) -> None:
    path = labelled(tmp_path / "mails.jsonl", range(2000, 2050), (kind,))
    content = found(path, tmp_path / "out", bundles.production, retrained)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES - {"curves.png"}
    assert [each["auc"] for each in content["models"]] == [None, None]
    assert content["comparison"]["auc"] is None
    printed = capsys.readouterr().out
    assert "AUC is undefined: it takes two mails of each kind or more" in printed
    assert ("There is no ham" in printed) == bool(kind)


def test_files_of_an_earlier_evaluation_do_not_stay(bundles: Bundles, fresh: Path, tmp_path: Path) -> None:
    found(fresh, tmp_path / "out", bundles.production)
    found(labelled(tmp_path / "mails.jsonl", range(9), (1,)), tmp_path / "out", bundles.production)
    assert not (tmp_path / "out/curves.png").exists()


def reschemed(folder: Path, of: Path, version: str) -> Path:
    """Return a copy of a bundle that says it was trained on another feature schema."""
    content = json.loads((of / "model.json").read_text()) | {"feature_schema_version": version}
    folder.mkdir()
    for name in content["files"]:
        (folder / name).write_bytes((of / name).read_bytes())
    (folder / "model.json").write_text(json.dumps(content))
    return folder


def test_a_model_of_another_feature_schema_is_compared_by_saved_scores(
    bundles: Bundles, retrained: Path, fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = reschemed(tmp_path / "old", bundles.production, "0")
    assert run(fresh, tmp_path / "out", retrained, old) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"was trained on feature schema 0, and the features here are schema {features.SCHEMA_VERSION}: run" in line
    direct = found(fresh, tmp_path / "out", retrained, bundles.production)
    found(fresh, tmp_path / "saved", bundles.production)
    by_scores = found(fresh, tmp_path / "out", retrained, tmp_path / "saved")
    assert by_scores["comparison"] == direct["comparison"]
    assert run(labelled(tmp_path / "x.jsonl", range(9)), tmp_path / "out", retrained, tmp_path / "saved") == 1
    assert "lack 18 of 18 mails; evaluate both models on the same mail" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [("scores.parquet", b"x"), ("evaluation.json", b"{}"), ("evaluation.json", b'{"models": [{"threshold": 2}]}')],
)
def test_a_damaged_evaluation_is_refused(
    bundles: Bundles, fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    found(fresh, tmp_path / "saved", bundles.production)
    (tmp_path / "saved" / name).write_bytes(content)
    assert run(fresh, tmp_path / "out", tmp_path / "saved") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("evaluate: ") and name in line


def test_what_cannot_be_evaluated_is_one_line(
    bundles: Bundles, fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    cases = {
        "has no mail; name labelled mail by CORPUS_DIR": (tmp_path / "empty", tmp_path / "out", bundles.production),
        "does not exist; set CORPUS_DIR": (tmp_path / "none", tmp_path / "out", bundles.production),
        "there is nothing to compare": (fresh, tmp_path / "out", bundles.production, bundles.production),
        "none does not exist": (fresh, tmp_path / "out", tmp_path / "none"),
        "Not a directory": (fresh, tmp_path / "file/out", bundles.production),
    }
    for why, arguments in cases.items():
        assert run(*arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("evaluate: ") and why in line


def test_progress_is_told_every_two_seconds(
    bundles: Bundles, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found(fresh, tmp_path / "out", bundles.production)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(scores, "PROGRESS_SECONDS", 0.0)
    found(fresh, tmp_path / "out", bundles.production)
    told = [line[10:] for line in capsys.readouterr().err.splitlines() if " of " in line]
    assert told == [f"{number} of 600 mails" for number in (200, 400, 600)]


def of(probabilities: list[float], spam: list[bool]) -> Figures:
    model = SimpleNamespace(threshold=0.5)
    return figures(np.array(spam), ModelScores(model, np.array(probabilities), 0))  # type: ignore[arg-type]


def test_calibration_is_that_of_equal_bins() -> None:
    found = of([0.05, 0.05, 0.95, 1.0], [False, True, True, True])
    assert [(each.mails, each.spam.share) for each in found.bins] == [(2, 0.5), (2, 1.0)]
    assert found.calibration_error == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)


def test_a_perfect_order_has_an_interval_of_its_own() -> None:
    auc = of([0.1] * 10 + [0.9] * 20, [False] * 10 + [True] * 20).auc
    assert auc is not None and auc.area == 1 and 0.6 < auc.interval[0] < 0.8 and auc.interval[1] == 1
    worst = of([0.9] * 10 + [0.1] * 20, [False] * 10 + [True] * 20).auc
    assert worst is not None and worst.area == 0 and worst.interval[0] == 0 < worst.interval[1]


def test_ham_that_scores_highest_leaves_no_threshold() -> None:
    step = of([0.9, 0.1, 0.8, 0.7], [False, False, True, True]).sweep[0]
    assert step.threshold is None and step.spam_caught is not None and step.spam_caught.count == 0


def test_mcnemar_is_exact_and_two_sided() -> None:
    first, second = np.array([True] * 9 + [False] * 3), np.array([False] * 9 + [True] + [False] * 2)
    assert dataclasses.astuple(discordant(first, second)) == (9, 1, pytest.approx(0.021484375))
    assert discordant(first, first).p == 1


def test_a_retrained_model_has_evidence_on_labelled_mail(
    settings: EvidenceSettings, bundles: Bundles, retrained: Path, fresh: Path
) -> None:
    configure(settings.root, require_health=False)
    shadow(settings, answers((retrained, bundles.worse), mails(1200)))
    other = dataclasses.replace(settings, candidate=retrained, production=bundles.worse)
    assert "EVALUATE_ON" in make(other, NOW).refused[0].advice
    evidence = make(dataclasses.replace(other, evaluate_on=fresh), NOW)
    assert evidence.outcome == "accepted", evidence.refused
    assert not isinstance(evidence.offline, str) and evidence.offline.as_json()["on"].endswith("600 mails, 300 spam")
    turned = dataclasses.replace(other, candidate=bundles.worse, production=retrained, evaluate_on=fresh)
    assert "offline AUC (DeLong)" in [each.name for each in make(turned, NOW).refused]


def test_evidence_takes_saved_scores_for_another_feature_schema(
    settings: EvidenceSettings, bundles: Bundles, retrained: Path, fresh: Path, tmp_path: Path
) -> None:
    old = reschemed(tmp_path / "old", bundles.production, "0")
    upgrade = dataclasses.replace(settings, candidate=retrained, production=old, evaluate_on=fresh)
    offline = make(upgrade, NOW).offline
    assert isinstance(offline, str) and "production: model" in offline and "feature schema 0" in offline
    found(fresh, tmp_path / "saved", bundles.production)
    content = json.loads((tmp_path / "saved/evaluation.json").read_text())
    content["models"][0]["sha256"] = hashlib.sha256((old / "model.json").read_bytes()).hexdigest()
    (tmp_path / "saved/evaluation.json").write_text(json.dumps(content))
    assert not isinstance(make(dataclasses.replace(upgrade, evaluated=tmp_path / "saved"), NOW).offline, str)


def test_evidence_asks_for_enough_mail(settings: EvidenceSettings, retrained: Path, tmp_path: Path) -> None:
    few = labelled(tmp_path / "few.jsonl", range(3000, 3050))
    offline = make(dataclasses.replace(settings, candidate=retrained, evaluate_on=few), NOW).offline
    assert offline == f"{few} has 50 ham mails; a comparison needs 100 or more of each kind"
