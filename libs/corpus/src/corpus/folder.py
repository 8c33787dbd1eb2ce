"""Corpus on disk: its mails found and counted, whatever forms they are in."""

import errno
import os
import stat
from fnmatch import fnmatch
from pathlib import Path

from corpus import formats, maildir
from corpus.errors import CorpusError, shown, unreadable
from corpus.kinds import FOLDERS_HINT, is_of_no_kind, kind_of, kind_of_mailbox
from corpus.mails import SIZE_LIMIT, MailFile, Spool
from corpus.records import READERS, Record
from corpus.streams import unpacked
from corpus.surveys import Survey

IGNORED_FILES = ("cmds", "*.json", "*.md")
"""Patterns of files that distributions of the SpamAssassin corpus put beside the mails."""


def find_mails(root: Path, at_least: int) -> list[MailFile]:
    """Return the mails of a corpus in the order of their names.

    Args:
        root: Folder, or a file that holds many mails.
        at_least: Fewest mails of each kind.

    Raises:
        CorpusError: For the reasons that `survey` gives.
    """
    return survey(root, at_least).mails


def survey(root: Path, at_least: int) -> Survey:
    """Return the mails of a corpus and what is left out.

    Args:
        root: Folder, or a file that holds many mails.
        at_least: Fewest mails of each kind.

    Raises:
        CorpusError: If something cannot be read, if it is not a corpus of a known form, or if it has too few mails of
            a kind.
    """
    walk = _Walk(root)
    walk.look()
    found = walk.found
    for kind, spam in (("ham", False), ("spam", True)):
        if (count := found.count(spam)) < at_least:
            remarks = f" ({remarks})" if (remarks := found.remarks()) else ""
            raise CorpusError(
                f"corpus {shown(root)} has {count} {kind} mails{remarks} and needs {at_least} or more,"
                f" in {FOLDERS_HINT}"
            )
    return found


class _Walk:
    """One walk through a corpus."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.found = Survey(root)
        self._spool: Spool | None = None
        self._folders: dict[str, Path] = {}

    def look(self) -> None:
        """Look through the root."""
        try:
            is_file = stat.S_ISREG(self._root.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            raise CorpusError(
                f"corpus folder {shown(self._root)} does not exist; set CORPUS_DIR or --corpus to a folder of"
                f" {FOLDERS_HINT}"
            ) from None
        except OSError as error:
            raise CorpusError(f"corpus folder {shown(self._root)} cannot be read: {error.strerror}") from None
        if is_file:
            self._look_at_file()
        else:
            self._look_at_folder()

    def _look_at_file(self) -> None:
        form = formats.form_beside(self._root)
        if not form:
            raise CorpusError(
                f"corpus {shown(self._root)} is a file and not a folder; set CORPUS_DIR or --corpus to a folder of"
                f" {FOLDERS_HINT}"
            )
        self._take_many(self._root, form, kind_of_mailbox(self._root.name))

    def _look_at_folder(self) -> None:
        has_inbox = formats.is_maildir(self._root)
        if has_inbox:
            self._take_maildir(self._root, "ham")
        for path in _entries(self._root):
            if has_inbox and path.name in maildir.OWN_FOLDERS:
                continue
            if stat.S_ISDIR(_mode(path)):
                self._look_within(path)
            else:
                self._look_beside(path)

    def _look_within(self, folder: Path) -> None:
        """Take the mails of a folder below the root."""
        if formats.is_maildir(folder):
            if kind := kind_of_mailbox(folder.name):
                self._check_distinct(folder)
                self._take_maildir(folder, kind)
            else:
                self.found.skip("Maildir folders of no clear kind", folder)
        elif kind := kind_of(folder.name):
            self._check_distinct(folder)
            for path in _entries(folder):
                self._take(path, kind)
        elif folder.name.startswith("."):
            self.found.skip("beside the folders", folder)
        else:
            raise CorpusError(
                f"corpus folder {shown(folder)} is not clearly ham or spam; the corpus must have {FOLDERS_HINT}"
            )

    def _look_beside(self, path: Path) -> None:
        """Take the mails of a file beside the folders, if it is of a form that holds many."""
        if not stat.S_ISREG(_mode(path)) or path.name.startswith(".") or not (form := formats.form_beside(path)):
            self.found.skip("beside the folders", path)
        elif form == "mbox" and is_of_no_kind(path.name):
            self.found.skip("mailboxes of no kind", path)
        else:
            self._take_many(path, form, kind_of_mailbox(path.name))

    def _check_distinct(self, folder: Path) -> None:
        """Check that no folder occurs twice through a symbolic link."""
        if (other := self._folders.setdefault(os.path.realpath(folder), folder)) is not folder:
            raise CorpusError(
                f"corpus folders {shown(other)} and {shown(folder)} are the same folder; remove one of them"
            )

    def _take_maildir(self, folder: Path, kind: str) -> None:
        paths = [path for name in ("cur", "new") for path in _entries(folder / name)]
        for path in sorted(paths, key=maildir.order):
            if reason := maildir.reason_to_skip(path.name):
                self.found.skip(reason, path)
            else:
                self._take(path, kind, in_maildir=True)

    def _take(self, path: Path, kind: str, in_maildir: bool = False) -> None:
        """Take the mail of a file or its mails, or note the reason to skip it."""
        if reason := _reason_to_skip(path):
            self.found.skip(reason, path)
        elif form := formats.form_of(path):
            self._take_many(path, form, kind)
        else:
            self.found.mails.append(MailFile(path, kind == "spam", in_maildir=in_maildir))
            self.found.cut += path.stat().st_size > SIZE_LIMIT

    def _take_many(self, path: Path, form: str, kind: str | None) -> None:
        """Take the mails of a file that holds many; the kind is that of its name, for those without a label."""
        named = None if kind is None else kind == "spam"
        with unpacked(path) as source:
            for record in READERS[form](source, path, named):
                if record.raw.strip():
                    self.found.mails.append(self._kept(path, record))
                    self.found.cut += record.cut or len(record.raw) > SIZE_LIMIT
                else:
                    self.found.skip("empty", path, record.number)

    def _kept(self, path: Path, record: Record) -> MailFile:
        self._spool = self._spool or Spool()
        return MailFile(path, record.spam, record.number, stored=self._spool.add(record.raw[:SIZE_LIMIT]))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise unreadable(folder, error, "folder") from None


def _reason_to_skip(path: Path) -> str:
    if path.name.startswith("."):
        return "hidden"
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        return "folders within folders"
    if not stat.S_ISREG(mode):
        return "no regular files"
    if pattern := next((pattern for pattern in IGNORED_FILES if fnmatch(path.name, pattern)), ""):
        return f"named {pattern}"
    return "" if path.stat().st_size else "empty"


def _mode(path: Path) -> int:
    """Return the mode of the file that a path leads to; 0 for a link that leads nowhere."""
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return 0
        raise unreadable(path, error) from None
