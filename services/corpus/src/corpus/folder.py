"""The files of a corpus."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

HAM_FOLDERS = ("ham*", "*-ham*")
SPAM_FOLDERS = ("spam*", "*-spam*")
FOLDERS_HINT = "folders named ham*, *-ham*, spam* or *-spam* with one file a mail"
SIZE_LIMIT = 1 << 20
"""Bytes of one mail that are read, as much as the gateway takes."""
IGNORED_FILES = ("cmds", "*.json", "*.md")
"""What distributions of the SpamAssassin corpus put beside the mails."""


class CorpusError(Exception):
    """A folder is no corpus; the message says what to do next."""


@dataclass(frozen=True, slots=True)
class MailFile:
    """One mail of a corpus."""

    path: Path
    spam: bool


class Digest:
    """SHA-256 over names, kinds and contents of a corpus's mails, added in the order of `find_mails`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._digest = hashlib.sha256()

    def add(self, mail: MailFile, raw: bytes) -> None:
        """Take one mail as `read_mail` reads it."""
        name = mail.path.relative_to(self._root).as_posix()
        self._digest.update(f"{name}\0{mail.spam}\0{len(raw)}\0".encode())
        self._digest.update(raw)

    def hexdigest(self) -> str:
        """The digest of the mails so far."""
        return self._digest.hexdigest()


def find_mails(root: Path, at_least: int) -> list[MailFile]:
    """List the mails of a corpus folder, in the order of their names.

    Args:
        at_least: How many of each kind there must be.

    Raises:
        CorpusError: No such folder, a folder that is neither ham nor spam, or too few mails of a kind.
    """
    if not root.is_dir():
        raise CorpusError(f"corpus folder {root} does not exist; set CORPUS_DIR or --corpus to {FOLDERS_HINT}")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    mails = [MailFile(path, spam) for folder in folders for spam in [_is_spam(folder)] for path in _files(folder)]
    for kind, spam in (("ham", False), ("spam", True)):
        count = sum(mail.spam is spam for mail in mails)
        if count < at_least:
            raise CorpusError(f"corpus {root} has {count} {kind} mails and needs {at_least} or more, in {FOLDERS_HINT}")
    return mails


def read_mail(mail: MailFile) -> bytes:
    """The first `SIZE_LIMIT` bytes of a mail."""
    with mail.path.open("rb") as source:
        return source.read(SIZE_LIMIT)


def _is_spam(folder: Path) -> bool:
    name = folder.name.lower()
    ham, spam = (any(fnmatch(name, pattern) for pattern in kind) for kind in (HAM_FOLDERS, SPAM_FOLDERS))
    if ham == spam:
        raise CorpusError(f"corpus folder {folder} is not clearly ham or spam; the corpus must have {FOLDERS_HINT}")
    return spam


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and not any(fnmatch(path.name, p) for p in IGNORED_FILES):
            yield path
