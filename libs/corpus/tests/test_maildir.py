"""Tests of Maildir, its subfolders and flags."""

import mailbox
import os
from pathlib import Path

import pytest

from corpus import Digest, find_mails, read_mail, survey


def put(folder: Path, *names: str) -> None:
    for place in ("cur", "new", "tmp"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(f"Subject: {name}\n\n{name}\n")


def kinds(root: Path) -> dict[str, bool]:
    return {mail.path.relative_to(root).as_posix(): mail.spam for mail in find_mails(root, 0)}


def test_a_maildir_of_the_standard_library_is_read(tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "mail")
    box.add("Subject: a\n\nham\n")
    box.add_folder("Spam").add("Subject: b\n\nspam\n")
    assert [(mail.spam, read_mail(mail)) for mail in find_mails(tmp_path / "mail", 1)] == [
        (False, b"Subject: a\n\nham\n"),
        (True, b"Subject: b\n\nspam\n"),
    ]


@pytest.mark.parametrize("name", [".Spam", ".Junk", ".INBOX.Spam", ".INBOX.Junk", "Junk", ".Junk E-mail", "Spam"])
def test_subfolders_of_spam_are_known(tmp_path: Path, name: str) -> None:
    put(tmp_path, "cur/1:2,S", "new/2", "tmp/3")
    put(tmp_path / name, "cur/4:2,RS")
    assert kinds(tmp_path) == {"cur/1:2,S": False, "new/2": False, f"{name}/cur/4:2,RS": True}


def test_an_inbox_beside_spam_is_ham(tmp_path: Path) -> None:
    put(tmp_path / "INBOX", "cur/1:2,S")
    put(tmp_path / ".Spam", "new/2")
    assert kinds(tmp_path) == {".Spam/new/2": True, "INBOX/cur/1:2,S": False}


def test_subfolders_of_no_clear_kind_deleted_mails_and_drafts_are_skipped_and_said(tmp_path: Path) -> None:
    put(tmp_path, "cur/1:2,S", "cur/2:2,ST", "cur/3:2,D", "cur/.hidden")
    for name in (".Sent", ".Not Spam", ".Archive"):
        put(tmp_path / name, "cur/4:2,S")
    (tmp_path / "subscriptions").write_text("x")
    assert kinds(tmp_path) == {"cur/1:2,S": False}
    assert survey(tmp_path, 0).remarks() == (
        "skipped 7: 3 Maildir folders of no clear kind (.Archive, .Not Spam, …), 1 beside the folders (subscriptions),"
        " 1 drafts (cur/3:2,D), 1 hidden (cur/.hidden), 1 marked as deleted (cur/2:2,ST)"
    )


def test_folders_of_a_kind_may_be_maildirs(tmp_path: Path) -> None:
    put(tmp_path / "ham", "cur/1:2,S")
    put(tmp_path / "spam", "new/2")
    assert kinds(tmp_path) == {"ham/cur/1:2,S": False, "spam/new/2": True}


def test_the_digest_does_not_change_when_a_mail_is_read(tmp_path: Path) -> None:
    put(tmp_path, "new/2", "cur/1:2,S", "cur/3:2,")

    def digest() -> str:
        made = Digest(tmp_path)
        for mail in find_mails(tmp_path, 0):
            made.add(mail, read_mail(mail))
        return made.hexdigest()

    before = digest()
    os.rename(tmp_path / "new/2", tmp_path / "cur/2:2,RS")
    os.rename(tmp_path / "cur/3:2,", tmp_path / "cur/3:2,F")
    assert digest() == before
    os.rename(tmp_path / "cur/3:2,F", tmp_path / "cur/4:2,F")
    assert digest() != before
