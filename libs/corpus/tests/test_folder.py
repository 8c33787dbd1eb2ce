import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from corpus import CorpusError, Digest, find_mails, read_mail, shown, survey
from corpus.mails import SIZE_LIMIT


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


AMBIGUOUS = [
    *("inbox", "ham-spam", "ham-and-spam", "not-spam", "no_spam", "nonspam", "NotSpam", "Not Spam", "not_ham", "spam?"),
    *("spamassassin_ham", "spamfree", "spam-vs-ham", "hamspam", "antispam", "unsure-spam", "former spam", "champions"),
    *(
        "unspam",
        "spam-or-ham",
        "spamassassin",
        "hamburg",
        "ham and spam",
        "spam=0",
        "!spam",
        "not-junk",
        "pas-spam",
        "pseudo-spam",
    ),
]
CLEAR = {
    "ham": ["ham", "HAM", "ham_2024", "easy_ham", "hard-ham-1", "ham2", "Ham (old)", "enron-ham"],
    "spam": ["spam", "Spam", ".Spam", "SPAM_2024", "spam_2", "spam.2024", "spam-from-alice", "spams", "Junk E-mail"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in CLEAR.items() for name in names])
def test_folders_of_a_clear_kind_are_taken(tmp_path: Path, kind: str, name: str) -> None:
    (mail,) = find_mails(make(tmp_path, f"{name}/a"), 0)
    assert mail.spam is (kind == "spam")


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_folders_of_no_clear_kind_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        CorpusError, match=rf"{re.escape(name)} is not clearly ham or spam; the corpus must have .*easy-ham-1"
    ):
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


def test_what_is_left_out_is_counted_and_said_why(tmp_path: Path) -> None:
    make(
        tmp_path,
        "ham/a",
        "spam/b",
        "ham/.x",
        "ham/cmds",
        "spam/README.md",
        "spam/x.md",
        "ham/in/c",
        "data.js",
        ".git/d",
    )
    (tmp_path / "ham/empty").touch()
    (tmp_path / "ham/loop").symlink_to("loop")
    os.mkfifo(tmp_path / "ham/pipe")
    (tmp_path / "spam/long").write_bytes(b"x" * (SIZE_LIMIT + 1))
    found = survey(tmp_path, 1)
    assert [mail.path.name for mail in found.mails] == ["a", "b", "long"]
    assert found.remarks() == (
        "skipped 10: 2 beside the folders (.git, data.js), 1 empty (ham/empty), 1 folders within folders (ham/in),"
        " 1 hidden (ham/.x), 2 named *.md (spam/README.md, spam/x.md), 1 named cmds (ham/cmds), 2 no regular files"
        " (ham/loop, ham/pipe); read only the first MiB of 1 larger mails"
    )


def test_nothing_left_out_is_nothing_said(tmp_path: Path) -> None:
    assert survey(make(tmp_path, "ham/a", "spam/b"), 1).remarks() == ""


def test_only_empty_mails_are_too_few(tmp_path: Path) -> None:
    make(tmp_path, "ham/a", "spam/b")
    (tmp_path / "spam/b").write_text("")
    with pytest.raises(CorpusError, match=r"has 0 spam mails \(skipped 1: 1 empty \(spam/b\)\) and needs 1 or more"):
        find_mails(tmp_path, 1)


MBOX = (
    "From a@b Thu Aug 22 12:36:23 2002\nSubject: a\n\ntext\n\nFrom c@d Fri Aug 23 01:02:03 2002\nSubject: b\n\ntext\n"
)


@pytest.mark.parametrize("at", ["all", "all.mbox", "not-spam.mbox"])
def test_a_mailbox_of_no_clear_kind_is_refused(tmp_path: Path, at: str) -> None:
    make(tmp_path, "ham/a", at)
    (tmp_path / at).write_text(MBOX)
    with pytest.raises(CorpusError, match=rf"{at} has a name that is not clearly ham or spam"):
        find_mails(tmp_path, 0)


def test_the_envelope_of_a_single_mail_is_no_mbox(tmp_path: Path) -> None:
    make(tmp_path, "ham/a")
    (tmp_path / "ham/a").write_text(MBOX.split("\n\nFrom")[0] + "\n\nFrom here on it is text.\n>From 1\n")
    (mail,) = find_mails(tmp_path, 0)
    assert mail.number == 0 and read_mail(mail) == (tmp_path / "ham/a").read_bytes()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("mail.xlsx", "a sheet of another program: save it as CSV"),
        ("ham/mail.PST", "a mailbox of another program: export it as mbox"),
        ("mail.tar.gz", "an archive"),
        ("ham/mail.zip", "an archive"),
        ("ham/mail.gz", "an archive"),
    ],
)
def test_forms_that_must_be_converted_are_said_to_be_such(tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(CorpusError, match=f"{name} is {what}"):
        find_mails(make(tmp_path, name), 0)


def test_a_mail_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("x")
    with pytest.raises(CorpusError, match="m is a file and not a folder.*set CORPUS_DIR"):
        find_mails(tmp_path / "m", 0)


def test_a_loop_of_links_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(CorpusError, match="loop cannot be read: Too many levels of symbolic links"):
        find_mails(tmp_path / "loop", 0)


def test_a_link_back_is_not_followed_for_ever(tmp_path: Path) -> None:
    make(tmp_path, "ham/a", "spam/b")
    (tmp_path / "ham/back").symlink_to(tmp_path)
    assert len(find_mails(tmp_path, 1)) == 2


def test_one_folder_is_not_both_kinds(tmp_path: Path) -> None:
    make(tmp_path, "ham/a")
    (tmp_path / "spam").symlink_to("ham")
    with pytest.raises(CorpusError, match="ham and .*spam are the same folder"):
        find_mails(tmp_path, 0)


@contextmanager
def someone() -> Iterator[None]:
    """Become a user whom permissions stop; root may read everything."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(own)


@pytest.mark.parametrize(("at", "mode"), [("", 0), ("ham", 0), ("ham/a", 0), ("ham/a", 0o200)])
def test_what_cannot_be_read_is_named(at: str, mode: int) -> None:
    # Pytest's own folder is closed to other users.
    with tempfile.TemporaryDirectory() as name:
        root = make(Path(name), "ham/a", "spam/b")
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)
        (root / at).chmod(mode)
        match = rf"{re.escape(str(root / at))} cannot be read: Permission denied; change its permissions"
        with someone(), pytest.raises(CorpusError, match=match):
            find_mails(root, 0)
        (root / at).chmod(0o700)


def test_a_folder_that_can_only_be_listed_is_not_taken_for_an_empty_one() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = make(Path(name), "ham/a", "spam/b")
        root.chmod(0o755)
        (root / "ham").chmod(0o444)
        with someone(), pytest.raises(CorpusError, match="ham/a cannot be read: Permission denied"):
            find_mails(root, 0)


def test_names_need_not_be_utf_8(tmp_path: Path) -> None:
    make(tmp_path, "ham/a", "spam/b")
    odd = tmp_path / "ham" / os.fsdecode(b"caf\xe9\n")
    odd.write_text("mail")
    assert [mail.path for mail in find_mails(tmp_path, 1)][1] == odd
    assert len(digest(tmp_path)) == 64
    assert shown(odd).endswith(r"/ham/caf\xe9\n")
