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
    count = augment.SETTINGS["template_copies"]
    assert Counter(written) == {(8, 0): count, (9, 0): count, (10, 1): count, (11, 1): count}


def test_counts_and_weights_are_the_settings(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(augment.SETTINGS, "dressed_copies", 3)
    monkeypatch.setitem(augment.SETTINGS, "excerpt_weight", 0.25)
    monkeypatch.setitem(augment.SETTINGS, "part_weight", 0)
    monkeypatch.setitem(augment.SETTINGS, "template_copies", 2)
    rows = made(root)
    found = Counter(zip(rows.kinds, rows.weights.tolist(), strict=True))
    assert found == {("mail", 1.0): 5, ("dressed", 1.0): 15, ("excerpt", 0.25): 5, ("template", 1.0): 8}


def test_parts_of_templates_are_in_their_group(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(augment.SETTINGS, "template_copies", 2)
    monkeypatch.setitem(augment.SETTINGS, "template_part_copies", 3)
    rows = made(root)
    groups = [group for kind, group in zip(rows.kinds, rows.groups.tolist(), strict=True) if kind == "template_part"]
    assert Counter(groups) == {8: 6, 9: 6, 10: 6, 11: 6}


def test_the_same_seed_gives_the_same_rows_in_any_number_of_processes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(augment.SETTINGS, "dressed_weight", 0.5)
    alone, other = made(root), made(root, seed=1)
    lines: list[str] = []
    monkeypatch.setattr(augment, "SECONDS_ALONE", 0.0)
    monkeypatch.setattr(augment, "_FIRST", 1)
    shared = augment.augmented(MAILS, SPAM, GROUPS, 0, lines.append, root)
    assert alone.texts == shared.texts and (alone.values == shared.values).all() and alone.kinds == shared.kinds
    assert (alone.weights == shared.weights).all()
    assert alone.texts[:5] == other.texts[:5] and alone.texts != other.texts
    assert lines == ["mails and their copies: 5 of 5", "templates: 4 of 4"]


def test_dressed_ham_is_html(root: Path) -> None:
    rows = made(root)
    html = rows.values[:, features.NAMES.index("html_share")]
    assert all(share > 0 for share, kind in zip(html, rows.kinds, strict=True) if kind == "dressed")


def test_other_settings_or_templates_are_another_version(
    corpus: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_corpus(corpus)
    found = {version_of(read)}
    monkeypatch.setitem(augment.SETTINGS, "part_copies", 7)
    found.add(version_of(read))
    before = augment.digest(root)
    (root / "en/ham/t.txt").write_text(TEMPLATES + "z")
    assert len(found) == 2 and before != augment.digest(root)
