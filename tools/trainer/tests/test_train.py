"""Tests of training: from a folder of mails to a bundle that loads and tells spam from ham."""

import hashlib
import io
import json
import pickle
import pickletools
import shutil
from pathlib import Path

import joblib
import numpy as np
import pytest
from conftest import ham, spam
from sklearn.metrics import roc_auc_score

import bundle
import features
from inferencelog import MEASURES, read_baseline, read_scored
from trainer import folds
from trainer.cli import main
from trainer.corpus import read_corpus
from trainer.model import COLUMNS

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles")
    assert main(["train", "--corpus", str(corpus), "--out", str(out)]) == 0
    (found,) = (out / "spam-detector").iterdir()
    return found


def test_bundle_is_complete(folder: Path) -> None:
    manifest = bundle.read_manifest(folder)
    assert sorted(manifest.files) == [
        "baseline.parquet",
        "curves.png",
        "evaluation.parquet",
        "model-card.md",
        "model.joblib",
    ]
    assert (manifest.name, manifest.version, manifest.columns) == ("spam-detector", folder.name, COLUMNS)
    assert (manifest.corpus["ham"], manifest.corpus["spam"]) == (80, 60)
    assert manifest.feature_schema_version == features.SCHEMA_VERSION
    assert manifest.feature_quantiles is not None
    assert set(manifest.feature_quantiles["spam"]) == set(features.NAMES)
    assert (folder / "curves.png").read_bytes().startswith(PNG)


def test_model_tells_spam_from_ham_and_has_the_compiled_scorer(folder: Path) -> None:
    loaded = bundle.load(folder)
    assert "compile_linear" in loaded.scorer.__qualname__
    mails = [features.extract(mail) for mail in [ham(500), ham(501), spam(500), spam(501)]]
    scores = loaded.score([mail.text for mail in mails], np.array([mail.values for mail in mails]))
    assert (scores[:2] < 0.5).all() and (scores[2:] > 0.5).all()


def test_pickle_holds_nothing_but_libraries(folder: Path) -> None:
    pickled = pickle.dumps(joblib.load(io.BytesIO((folder / "model.joblib").read_bytes())), protocol=2)
    modules = {
        str(value).split(" ")[0].split(".")[0]
        for code, value, _ in pickletools.genops(pickled)
        if code.name == "GLOBAL"
    }
    assert modules and modules <= {"sklearn", "numpy", "scipy", "copy_reg", "__builtin__", "_codecs"}


def test_baseline_says_whose_it_is(folder: Path) -> None:
    manifest, found = bundle.read_manifest(folder), read_baseline(str(folder / "baseline.parquet"))
    assert (found.model_name, found.model_version) == ("spam-detector", folder.name)
    # The baseline cannot contain the digest of model.json, which lists the baseline's own.
    assert (found.model_sha256, found.threshold) == ("", manifest.threshold)
    assert manifest.files["baseline.parquet"] == hashlib.sha256((folder / "baseline.parquet").read_bytes()).hexdigest()
    assert (found.feature_schema_version, found.period) == (features.SCHEMA_VERSION, None)
    assert found.source == "training corpus of 140 mails, scored out of fold"
    assert found.table.column_names == [*MEASURES]
    scores = found.table["spam_probability"].to_numpy()
    assert len(scores) == 140 and scores[:80].mean() < 0.5 < scores[80:].mean()


def test_evaluation_has_each_mail_with_the_score_of_a_model_that_did_not_know_it(corpus: Path, folder: Path) -> None:
    manifest = bundle.read_manifest(folder)
    found = read_scored((folder / "evaluation.parquet").read_bytes(), "evaluation.parquet")
    files = [path for kind in ("easy-ham-1", "hard-ham", "spam-1") for path in sorted((corpus / kind).glob("*.txt"))]
    assert found.mails == [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    assert found.spam.tolist() == [0] * 80 + [1] * 60
    assert (found.model_file_sha256, found.corpus_digest) == (manifest.files["model.joblib"], manifest.corpus["digest"])
    assert 1 - roc_auc_score(found.spam, found.scores) == manifest.metrics["one_minus_auc"]
    read = read_corpus(corpus)
    for number, (_, left) in enumerate(folds.split(read.spam, folds.near_duplicates(read.texts))):
        assert set(found.folds[left]) == {number}


def test_card_states_the_figures_of_the_manifest(folder: Path) -> None:
    manifest, text = bundle.read_manifest(folder), (folder / "model-card.md").read_text()
    assert f"{manifest.metrics['one_minus_auc']:.4%}" in text
    called, caught = manifest.metrics["template_ham_called_spam"], manifest.metrics["template_spam_caught"]
    assert f"| template | {called:.2%} | {caught:.1%} |" in text
    assert f"{manifest.threshold:.4f}" in text and manifest.corpus["digest"] in text
    assert manifest.threshold_chosen_by == "MAX_FALSE_POSITIVES=0.01" and f"`{manifest.threshold_chosen_by}`" in text
    assert f"{manifest.metrics['false_positive_rate']:.2%}" in text
    assert all(f"`{name}`" in text for name in features.NAMES)


def test_same_input_is_the_same_version_and_skipped(
    corpus: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "model.json").stat().st_mtime_ns
    assert main(["train", "--corpus", str(corpus), "--out", str(folder.parent.parent)]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(folder) and "nothing to do" in printed.err
    assert (folder / "model.json").stat().st_mtime_ns == before


def test_training_again_gives_the_same_bytes(corpus: Path, folder: Path, tmp_path: Path) -> None:
    main(["train", "--corpus", str(corpus), "--out", str(tmp_path), "--force"])
    again = tmp_path / "spam-detector" / folder.name
    assert bundle.verify(again) == bundle.verify(folder)
    assert (again / "model.json").read_bytes() == (folder / "model.json").read_bytes()


def test_other_corpus_is_another_version(corpus: Path, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "corpus"
    shutil.copytree(corpus, other)
    (other / "spam-1" / "00000.txt").write_text("another")
    main(["train", "--corpus", str(other), "--out", str(tmp_path)])
    assert [path.name for path in (tmp_path / "spam-detector").iterdir()] != [folder.name]


def test_corpus_from_the_environment_and_a_chosen_version(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORPUS_DIR", str(corpus))
    assert main(["train", "--out", str(tmp_path), "--version", "2024.1"]) == 0
    assert bundle.read_manifest(tmp_path / "spam-detector" / "2024.1").version == "2024.1"


@pytest.mark.parametrize("version", ["", "../x", ".hidden", "a/b", "a b", "x" * 64])
def test_version_that_is_no_folder_name_is_refused(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--corpus", str(tmp_path), "--out", str(tmp_path), "--version", version])
    assert "begin with a letter or digit" in capsys.readouterr().err


def test_error_is_one_line_and_a_failing_exit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--corpus", str(tmp_path / "nowhere"), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("trainer: corpus folder ")


@pytest.mark.skipif(shutil.which("bogofilter") is None, reason="bogofilter is not installed")
def test_bogofilter_on_the_same_folds(corpus: Path, tmp_path: Path) -> None:
    assert main(["compare-bogofilter", "--corpus", str(corpus), "--out", str(tmp_path / "build" / "b.json")]) == 0
    found = json.loads((tmp_path / "build" / "b.json").read_text())
    assert found["name"] == "bogofilter" and found["version"][0].isdecimal()
    assert found["metrics"]["one_minus_auc"] < 0.05


def test_bogofilter_missing(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["compare-bogofilter", "--corpus", str(corpus), "--out", str(tmp_path / "b.json")]) == 1
    assert "apt-get install bogofilter" in capsys.readouterr().err
