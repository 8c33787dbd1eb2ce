from pathlib import Path

import pytest

from corpus import CorpusError, Digest, find_mails, read_mail
from corpus.folder import SIZE_LIMIT


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def digest(root: Path) -> str:
    found = Digest(root)
    for mail in find_mails(root, 0):
        found.add(mail, read_mail(mail))
    return found.hexdigest()


def test_kinds_come_from_the_folders_names(tmp_path: Path) -> None:
    make(tmp_path, "easy-ham-1/b", "easy-ham-1/a", "Spam/c", "ham/d.txt", "ham/.hidden", "ham/cmds", "ham/x.json")
    found = [(mail.path.relative_to(tmp_path).as_posix(), mail.spam) for mail in find_mails(tmp_path, 1)]
    assert found == [("Spam/c", True), ("easy-ham-1/a", False), ("easy-ham-1/b", False), ("ham/d.txt", False)]


def test_too_few_of_a_kind_are_counted(tmp_path: Path) -> None:
    make(tmp_path, "ham/a", "ham/b", "spam/c")
    with pytest.raises(CorpusError, match="has 1 spam mails and needs 2 or more"):
        find_mails(tmp_path, 2)


@pytest.mark.parametrize("name", ["inbox", "ham-spam"])
def test_folders_of_no_clear_kind_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorpusError, match=f"{name} is not clearly ham or spam"):
        find_mails(make(tmp_path, f"{name}/a"), 0)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="does not exist; set CORPUS_DIR"):
        find_mails(tmp_path / "none", 0)


def test_only_so_much_of_a_mail_is_read(tmp_path: Path) -> None:
    make(tmp_path, "ham/a")
    (tmp_path / "ham/a").write_bytes(b"x" * (SIZE_LIMIT + 1))
    assert len(read_mail(find_mails(tmp_path, 0)[0])) == SIZE_LIMIT


def test_the_digest_knows_names_kinds_and_contents(tmp_path: Path) -> None:
    one, same = (digest(make(tmp_path / name, "ham/a", "spam/b")) for name in ("one", "same"))
    other_name = digest(make(tmp_path / "name", "ham/c", "spam/b"))
    other_kind = digest(make(tmp_path / "kind", "spam/a", "ham/b"))
    (tmp_path / "same/ham/a").write_text("changed")
    assert one == same
    assert len({one, other_name, other_kind, digest(tmp_path / "same")}) == 4
