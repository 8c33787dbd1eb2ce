"""Tests of which corpus is used, and which folders are refused before any training."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import fill, ham, spam

from corpus import CorpusError
from trainer.choice import choose, note
from trainer.cli import main
from trainer.fetch import FOLDER

Mine = Callable[[str], Path]


@pytest.fixture
def mine(tmp_path: Path) -> Mine:
    """Return a function that makes a user's own corpus."""

    def make(name: str) -> Path:
        fill(tmp_path / name / "ham", [ham(seed) for seed in range(30)])
        fill(tmp_path / name / "spam", [spam(seed) for seed in range(30)])
        return tmp_path / name

    return make


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache in which the SpamAssassin corpus counts as fetched."""
    monkeypatch.setattr("trainer.choice.fetch_corpus", lambda cache: cache / "spam-assassin")
    return tmp_path / "cache"


def test_the_corpus_that_was_trained_on_stays_until_another_is_named(mine: Mine, tmp_path: Path, fetched: Path) -> None:
    trained = tmp_path / "trained"
    assert choose(None, trained, fetched) == fetched / "spam-assassin"
    assert choose(str(mine("a")), trained, fetched) == tmp_path / "a"
    trained.write_text(f"{tmp_path / 'a'}\n")
    assert choose(None, trained, fetched) == tmp_path / "a"
    assert choose(str(mine("b")), trained, fetched) == tmp_path / "b"
    assert choose("", trained, fetched) == fetched / "spam-assassin", "empty goes back"


def test_a_corpus_that_was_trained_on_and_is_gone_is_named(tmp_path: Path, fetched: Path) -> None:
    (tmp_path / "trained").write_text(f"{tmp_path}/gone\n")
    with pytest.raises(
        CorpusError, match=r"gone, which .* is gone; name another by CORPUS_DIR, or CORPUS_DIR= \(empty\)"
    ):
        choose(None, tmp_path / "trained", fetched)


def test_a_relative_folder_means_the_same_from_everywhere(
    mine: Mine, tmp_path: Path, fetched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine("a").parent)
    assert choose("a", tmp_path / "none", fetched) == tmp_path / "a"


def noted(folder: Path, at: Path) -> int:
    note(folder, at)
    return at.stat().st_mtime_ns


def test_a_folder_is_noted_anew_only_when_something_in_it_has_changed(mine: Mine, tmp_path: Path) -> None:
    folder, at = mine("a"), tmp_path / "noted"
    first = noted(folder, at)
    assert at.read_text() == f"{folder}\n"
    assert noted(folder, at) == first
    later = first + 10**9
    os.utime(folder / "ham" / "00000.txt", ns=(later, later))
    changed = noted(folder, at)
    assert changed > first
    os.utime(at, ns=(later, later))
    assert noted(folder, at) == later
    assert noted(mine("b"), at) > first and at.read_text() == f"{tmp_path / 'b'}\n"


def test_a_file_is_noted_anew_only_when_it_has_changed(tmp_path: Path) -> None:
    path, at = tmp_path / "mails.jsonl", tmp_path / "noted"
    path.write_text("".join(f'{{"spam": {number % 2}, "mail": "a"}}\n' for number in range(60)))
    first = noted(path, at)
    assert (at.read_text(), noted(path, at)) == (f"{path}\n", first)
    os.utime(path, ns=(first + 10**9, first + 10**9))
    assert noted(path, at) > first


def test_a_mail_in_a_subfolder_of_a_maildir_is_noted(mine: Mine, tmp_path: Path) -> None:
    folder, at = tmp_path / "mail", tmp_path / "noted"
    for place in ("cur", "new", ".Junk/cur", ".Junk/new"):
        fill(folder / place, [ham(seed) for seed in range(15)])
    first = noted(folder, at)
    assert noted(folder, at) == first
    os.utime(folder / ".Junk/new/00000.txt", ns=(first + 10**9, first + 10**9))
    assert noted(folder, at) > first


def test_a_folder_that_is_no_corpus_is_not_noted(mine: Mine, tmp_path: Path) -> None:
    at = tmp_path / "noted"
    note(mine("a"), at)
    fill(mine("b") / "not-spam", [ham(1)])
    with pytest.raises(CorpusError, match="not-spam is not clearly ham or spam"):
        note(tmp_path / "b", at)
    assert at.read_text() == f"{tmp_path / 'a'}\n"


def test_the_command_reads_the_variable(
    mine: Mine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CORPUS_DIR", str(mine("a b")))
    command = ["corpus", "--cache", str(tmp_path), "--trained", str(tmp_path / "t"), "--note", str(tmp_path / "n")]
    assert main(command) == 0
    assert capsys.readouterr().out == "" and (tmp_path / "n").read_text() == f"{tmp_path}/a b\n"
    monkeypatch.setenv("CORPUS_DIR", str(tmp_path / "nowhere"))
    assert main(command) == 1
    assert capsys.readouterr().err.startswith(
        f"trainer: corpus folder {tmp_path}/nowhere does not exist; set CORPUS_DIR"
    )


def test_training_writes_down_a_corpus_of_ones_own(mine: Mine, tmp_path: Path) -> None:
    note(mine("a"), tmp_path / "n")
    trained = tmp_path / "trained"
    command = ["train", "--corpus-file", str(tmp_path / "n"), "--trained", str(trained), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert trained.read_text() == f"{tmp_path / 'a'}\n"
    (tmp_path / "a").rename(tmp_path / FOLDER)
    note(tmp_path / FOLDER, tmp_path / "n")
    assert main(command) == 0
    assert not trained.exists()


def refused(folder: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Train on the folder, and return the one line with the reason for the refusal."""
    assert main(["train", "--corpus", str(folder), "--out", str(out)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert not any("fold 1" in line or "Traceback" in line for line in lines), "before minutes of training"
    assert not out.exists()
    return lines[-1]


def test_copies_of_a_few_mails_are_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "a" / "ham", [ham(seed) for seed in range(30)])
    fill(tmp_path / "a" / "spam", [spam(seed % 3) for seed in range(30)])
    line = refused(tmp_path / "a", tmp_path / "out", capsys)
    assert line == (
        "trainer: the corpus has 3 groups of near-duplicate spam and needs 6 or more: add mails that differ, since"
        " copies of one mail say nothing of another"
    )


def test_groups_that_leave_a_fold_without_a_kind_are_too_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "a" / "ham", [ham(seed) for seed in range(60)])
    fill(tmp_path / "a" / "spam", [spam(max(seed - 54, 0)) for seed in range(60)])
    assert "near-duplicates that do not fall into 5 folds" in refused(tmp_path / "a", tmp_path / "out", capsys)


@pytest.mark.parametrize("content", ["", " \n", "Subject: \n\n \n"])
def test_mails_without_any_text_are_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    fill(tmp_path / "a" / "ham", [ham(seed) for seed in range(30)])
    fill(tmp_path / "a" / "spam", [content] * 30)
    assert "has 0 spam mails" in refused(tmp_path / "a", tmp_path / "out", capsys)


def test_one_kind_is_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "a" / "ham", [ham(seed) for seed in range(30)])
    assert "has 0 spam mails and needs 25 or more" in refused(tmp_path / "a", tmp_path / "out", capsys)


def test_mails_without_a_common_word_cannot_be_learned_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("ham", "spam"):
        fill(tmp_path / "a" / kind, [f"Subject: {kind}word{'x' * n}\n\n{kind}text{'y' * n}\n" for n in range(30)])
    assert main(["train", "--corpus", str(tmp_path / "a"), "--out", str(tmp_path / "out")]) == 1
    assert "trainer: the corpus cannot be learned from: " in capsys.readouterr().err


def test_what_is_left_out_is_said(mine: Mine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mine("a") / "ham" / "README.md").write_text("text")
    assert main(["train", "--corpus", str(tmp_path / "a"), "--out", str(tmp_path / "out")]) == 0
    assert "] skipped 1: 1 named *.md (ham/README.md)\n" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["model.joblib", "baseline.parquet", "model.json"])
def test_a_bundle_that_lacks_a_file_is_trained_anew(
    mine: Mine, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    command = ["train", "--corpus", str(mine("a")), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    folder = Path(capsys.readouterr().out.strip())
    (folder / name).unlink()
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "trained anew" in printed.err and (folder / name).is_file()
    assert printed.out.strip() == str(folder)
