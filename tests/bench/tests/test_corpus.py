from pathlib import Path

import pytest

from bench import corpus


def fill(folder: Path, sizes: list[int]) -> None:
    folder.mkdir()
    for number, size in enumerate(sizes):
        (folder / f"{number:03}.txt").write_bytes(f"{folder.name}{number:03}".encode().ljust(size, b"x"))


def test_sample_steps_through_all_folders_and_leaves_long_and_empty_mails_out(tmp_path: Path) -> None:
    fill(tmp_path / "ham", [10] * 30 + [5000] + [0])
    fill(tmp_path / "spam", [20] * 30)
    (tmp_path / "index.json").write_text("{}")
    mails = corpus.sample(tmp_path, count=20, size_cap=4500)
    assert len(set(mails)) == 20
    assert sum(mail.startswith("ham") for mail in mails) == 10
    assert max(map(len, mails)) == 20
    assert corpus.sample(tmp_path, count=20, size_cap=4500) == mails


def test_mails_that_are_not_utf_8_are_taken_as_latin_1(tmp_path: Path) -> None:
    (tmp_path / "ham").mkdir()
    (tmp_path / "ham" / "1.txt").write_bytes(b"caf\xe9")
    assert corpus.sample(tmp_path, count=1) == ["caf\u00e9"]


def test_too_few_mails_are_said(tmp_path: Path) -> None:
    fill(tmp_path / "ham", [10] * 3)
    with pytest.raises(SystemExit, match="3 mails .* 400 are needed"):
        corpus.sample(tmp_path)
