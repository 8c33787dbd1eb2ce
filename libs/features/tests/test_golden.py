"""Golden test: no feature changes unless the schema version does."""

import copy
import json
from pathlib import Path

import golden
import pytest

import features
from features import words


def test_features_change_only_with_their_version() -> None:
    assert golden.fault(golden.kept(), golden.current()) == ""


def changed() -> golden.Golden:
    new = copy.deepcopy(golden.kept())
    new["mails"]["plain"]["numbers"]["links"] += 1
    new["mails"]["plain"]["words"] += " unseen"
    return new


def test_a_change_names_mail_and_feature() -> None:
    fault = golden.fault(golden.kept(), changed())
    assert "mail 'plain': links is 2, was 1; new word unseen" in fault
    assert "Raise SCHEMA_VERSION" in fault and fault.count("mail '") == 1


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"a": 1.0}, {}, "no number a"),
        ({}, {"a": 1.0}, "new number a"),
        ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}, "another order"),
        ({"a": 1.0}, {"a": 1.0 + 1e-6}, "a is 1, was 1"),
    ],
)
def test_numbers_that_differ(before: dict[str, float], after: dict[str, float], said: str) -> None:
    old, new = ({"schema_version": "2", "mails": {"m": {"words": "", "numbers": each}}} for each in (before, after))
    assert said in golden.fault(old, new)


def test_order_of_words_is_a_feature() -> None:
    old, new = ({"schema_version": "2", "mails": {"m": {"words": each, "numbers": {}}}} for each in ("a b", "b a"))
    assert "the words have another order" in golden.fault(old, new)


def test_another_version_and_a_new_mail_need_new_goldens() -> None:
    kept = golden.kept()
    assert "run `make golden-features`" in golden.fault(kept | {"schema_version": "0"}, kept)
    assert "new mail" in golden.fault(kept, kept | {"mails": kept["mails"] | {"new mail": {}}})


def test_a_change_of_the_code_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_SHOWN", words._table(b"$"))
    assert "no word 4711" in golden.fault(golden.kept(), golden.current())


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "golden.json"
    path.write_text(json.dumps(changed()))
    monkeypatch.setattr(golden, "FILE", path)
    return path


def test_goldens_of_a_version_in_use_are_not_written_anew(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = file.read_text()
    assert golden.main([]) == 1
    assert file.read_text() == before and "links is 1, was 2" in capsys.readouterr().err
    assert golden.main(["--unreleased"]) == 0
    assert json.loads(file.read_text()) == golden.current()


def test_goldens_of_a_new_version_are_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SCHEMA_VERSION", "next")
    assert golden.main([]) == 0
    assert json.loads(file.read_text())["schema_version"] == "next"
