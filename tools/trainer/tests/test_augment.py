"""Tests of augmentation: whose copy each row is, its kind, its group and its weight."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ham, spam

import features
from trainer import augment
from trainer.corpus import read_corpus
from trainer.train import version_of

MAILS = [ham(1).encode(), spam(1).encode(), ham(2).encode(), b"", b"\xff\x00 <p>"]
SPAM = np.array([0, 1, 0, 1, 0])
GROUPS = np.array([4, 2, 2, 0, 7])
TEMPLATES = "=== a\nSubject: s\n\nx {first}\n=== b\nSubject: s\n\ny {last}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for kind in ("ham", "spam"):
        (tmp_path / "en" / kind).mkdir(parents=True)
        (tmp_path / "en" / kind / "t.txt").write_text(TEMPLATES)
    return tmp_path


@pytest.fixture(autouse=True)
def _one_copy_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("dressed", "part", "excerpt"):
        monkeypatch.setitem(augment.SETTINGS, kind, {"copies": 1, "ham": 1.0, "spam": 1.0})
    monkeypatch.setitem(augment.SETTINGS, "shortest_part", 0)


def made(root: Path, seed: int = 0) -> augment.Rows:
    return augment.augmented(MAILS, SPAM, GROUPS, seed, root=root)


def test_the_mails_come_first_unchanged(root: Path) -> None:
    rows = made(root)
    found = [features.extract(mail) for mail in MAILS]
    assert rows.texts[:5] == [each.text for each in found]
    assert (rows.values[:5] == np.array([each.values for each in found])).all()
    assert (rows.spam[:5] == SPAM).all() and (rows.groups[:5] == GROUPS).all() and rows.kinds[:6].count("mail") == 5


def test_copies_are_of_their_mails_kind_and_group_and_templates_of_their_own(root: Path) -> None:
    rows = made(root)
    copies = [
        (kind, group)
        for each, kind, group in zip(rows.kinds, rows.spam, rows.groups, strict=True)
        if each != "template"
    ]
    assert Counter(copies) == dict.fromkeys(zip(SPAM, GROUPS, strict=True), 4)
    written = [
        (int(group), int(kind))
        for each, kind, group in zip(rows.kinds, rows.spam, rows.groups, strict=True)
        if each == "template"
    ]
    count = augment.SETTINGS["template"]["copies"]
    assert Counter(written) == {(8, 0): count, (9, 0): count, (10, 1): count, (11, 1): count}


def test_counts_and_weights_are_the_settings(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(augment.SETTINGS, "dressed", {"copies": 3, "ham": 0.5, "spam": 0.75})
    monkeypatch.setitem(augment.SETTINGS, "excerpt", {"copies": 1, "ham": 0.25, "spam": 0})
    monkeypatch.setitem(augment.SETTINGS, "part", {"copies": 0, "ham": 1.0, "spam": 1.0})
    monkeypatch.setitem(augment.SETTINGS, "template", {"copies": 2, "ham": 0.125, "spam": 0.375})
    rows = made(root)
    found = Counter(zip(rows.kinds, rows.weights.tolist(), strict=True))
    assert found == {
        ("mail", 1.0): 5,
        ("dressed", 0.5): 9,
        ("dressed", 0.75): 6,
        ("excerpt", 0.25): 3,
        ("template", 0.125): 4,
        ("template", 0.375): 4,
    }


def test_the_same_seed_gives_the_same_rows_in_any_number_of_processes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(augment.SETTINGS, "dressed", {"copies": 1, "ham": 0.5, "spam": 0.5})
    alone, other = made(root), made(root, seed=1)
    lines: list[str] = []
    monkeypatch.setattr(augment, "SECONDS_ALONE", 0.0)
    monkeypatch.setattr(augment, "_FIRST", 1)
    shared = augment.augmented(MAILS, SPAM, GROUPS, 0, lines.append, root)
    assert alone.texts == shared.texts and (alone.values == shared.values).all() and alone.kinds == shared.kinds
    assert (alone.weights == shared.weights).all()
    assert alone.texts[:5] == other.texts[:5] and alone.texts != other.texts
    assert lines == ["mails and their copies: 5 of 5", "templates: 4 of 4"]


def test_parts_that_are_too_short_are_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(augment.SETTINGS, "shortest_part", 30)
    kinds = made(root).kinds
    assert kinds.count("part") == 3 and kinds.count("excerpt") == 5


def test_rows_are_taken_with_all_that_belongs_to_them(root: Path) -> None:
    rows = made(root)
    taken = rows.take(np.array([8, 1]))
    assert len(taken) == 2 and taken.texts == [rows.texts[8], rows.texts[1]] and taken.mails == 1
    assert taken.kinds == [rows.kinds[8], "mail"]
    for name in ("values", "spam", "groups", "weights", "origins"):
        assert (getattr(taken, name) == getattr(rows, name)[[8, 1]]).all()


def test_dressed_ham_is_html(root: Path) -> None:
    rows = made(root)
    html = rows.values[:, features.NAMES.index("html_share")]
    assert all(share > 0 for share, kind in zip(html, rows.kinds, strict=True) if kind == "dressed")


def test_other_settings_or_templates_are_another_version(
    corpus: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_corpus(corpus)
    found = {version_of(read)}
    monkeypatch.setitem(augment.SETTINGS, "dressed", {"copies": 7, "ham": 0.5, "spam": 0.5})
    found.add(version_of(read))
    before = augment.digest(root)
    (root / "en/ham/t.txt").write_text(TEMPLATES + "z")
    assert len(found) == 2 and before != augment.digest(root)
