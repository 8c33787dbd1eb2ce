import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import write_bundle

import bundle
import features
from baseline.cli import main
from corpus import find_mails, read_mail
from inferencelog import MEASURES, SCORE, read_baseline


def run(mails: Path, model: Path, out: Path, *more: str) -> int:
    options = ["--corpus", str(mails), "--bundle", str(model), "--out", str(out), "--least-rows", "40", *more]
    return main(["corpus", *options])


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_holds_features_and_scores_of_every_mail(mails: Path, model: Path, tmp_path: Path) -> None:
    assert run(mails, model, tmp_path / "baseline.parquet") == 0
    found = read_baseline(str(tmp_path / "baseline.parquet"))
    loaded = bundle.load(model)
    assert (found.model_name, found.model_version, found.model_sha256) == ("spam-detector", "1", loaded.sha256)
    assert (found.feature_schema_version, found.threshold, found.period) == (features.SCHEMA_VERSION, 0.9, None)
    assert found.rows == 40
    for row, mail in zip(found.table.to_pylist(), find_mails(mails, 0), strict=True):
        text, values = features.extract(read_mail(mail))
        assert [row[name] for name in MEASURES[:-1]] == pytest.approx(values)
        assert row[SCORE] == pytest.approx(float(loaded.score([text], [values])[0]))


def test_says_when_the_model_was_trained_on_the_corpus(
    mails: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(mails, model, tmp_path / "x.parquet")
    assert any("trained on this corpus" in str(line["message"]) for line in said(capsys))
    assert read_baseline(str(tmp_path / "x.parquet")).source.endswith("that the model was trained on")
    other = tmp_path / "other"
    for mail in find_mails(mails, 0):
        (other / mail.path.parent.name).mkdir(parents=True, exist_ok=True)
        (other / mail.path.parent.name / mail.path.name).write_bytes(read_mail(mail) + b"!")
    run(other, model, tmp_path / "x.parquet")
    assert not any("trained on this corpus" in str(line["message"]) for line in said(capsys))


def test_a_model_that_is_not_the_one_pinned_is_not_unpickled(
    mails: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(mails, model, tmp_path / "x.parquet", "--model-sha256", "0" * 64) == 1
    assert "not unpickled" in str(said(capsys)[-1]["message"])
    assert not (tmp_path / "x.parquet").exists()


def test_a_model_of_another_feature_schema_is_refused(
    mails: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "spam-detector" / "1"
    write_bundle(other, (model / "model.joblib").read_bytes(), "0" * 64, schema="0")
    assert run(mails, other, tmp_path / "x.parquet") == 1
    assert "trained on feature schema 0" in str(said(capsys)[-1]["message"])


@pytest.mark.parametrize(
    ("corpus", "reason"), [("none", "does not exist"), ("", "is not clearly ham or spam")], ids=["missing", "no corpus"]
)
def test_no_corpus_is_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], corpus: str, reason: str
) -> None:
    (tmp_path / "inbox").mkdir()
    assert run(tmp_path / corpus, model, tmp_path / "x.parquet") == 1
    assert reason in str(said(capsys)[-1]["message"])


def test_too_few_mails_are_refused(
    mails: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(mails, model, tmp_path / "x.parquet", "--least-rows", "41") == 1
    assert "holds 40 mails; a baseline needs 41 or more" in str(said(capsys)[-1]["message"])


def test_a_missing_bundle_is_said(mails: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(mails, tmp_path / "none", tmp_path / "x.parquet") == 1
    assert "model folder" in str(said(capsys)[-1]["message"])
    assert not list(tmp_path.iterdir())


def changed(model: Path, target: Path, **fields: Any) -> Path:
    """Return a copy of a bundle with some fields of its `model.json` changed."""
    shutil.copytree(model, target)
    path = target / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return target


@pytest.mark.parametrize("threshold", [1.0, 0.99])
def test_a_threshold_changed_after_the_pin_is_refused(
    mails: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], threshold: float
) -> None:
    pin = bundle.read_manifest(model).sha256
    other = changed(model, tmp_path / "1", threshold=threshold)
    assert run(mails, other, tmp_path / "x.parquet", "--model-sha256", pin) == 1
    assert f"the release pins {pin}; it was not unpickled" in str(said(capsys)[-1]["message"])
    assert not (tmp_path / "x.parquet").exists()


def test_a_threshold_of_one_is_refused(
    mails: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(mails, changed(model, tmp_path / "1", threshold=1.0), tmp_path / "x.parquet") == 1
    assert "'threshold' must be greater than 0 and less than 1, is 1.0" in str(said(capsys)[-1]["message"])


@pytest.mark.parametrize("name", ["model.json", "model.joblib"])
def test_a_pipe_in_the_bundle_is_refused_and_never_waited_for(
    mails: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    other = changed(model, tmp_path / "1")
    (other / name).unlink()
    os.mkfifo(other / name)
    assert run(mails, other, tmp_path / "x.parquet") == 1
    assert f"{name} is no regular file" in str(said(capsys)[-1]["message"])
