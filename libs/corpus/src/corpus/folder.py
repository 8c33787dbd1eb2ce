"""Files of a corpus: found, counted and read."""

import errno
import hashlib
import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from corpus.formats import HEAD_BYTES, is_maildir, refusal_of_file
from corpus.kinds import FOLDERS_HINT, kind_of

SIZE_LIMIT = 1 << 20
"""Most bytes read of one mail; the gateway accepts as many."""
IGNORED_FILES = ("cmds", "*.json", "*.md")
"""Patterns of files that distributions of the SpamAssassin corpus put beside the mails."""


class CorpusError(Exception):
    """Error for a folder that is not a corpus; the message says what to do next."""


@dataclass(frozen=True, slots=True)
class MailFile:
    """One mail of a corpus."""

    path: Path
    spam: bool


@dataclass(slots=True)
class Survey:
    """Mails of a corpus, and counts of the other files there."""

    mails: list[MailFile] = field(default_factory=list)
    """Mails in the order of their names."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Number of files left out, by reason."""
    cut: int = 0
    """Number of mails larger than `SIZE_LIMIT`, of which only the beginning is read."""

    def count(self, spam: bool) -> int:
        """Return how many mails are of a kind."""
        return sum(mail.spam is spam for mail in self.mails)

    def remarks(self) -> str:
        """Return one line that says what was left out and why; empty if nothing was."""
        lines = []
        if self.skipped:
            reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(self.skipped.items()))
            lines.append(f"skipped {self.skipped.total()}: {reasons}")
        if self.cut:
            lines.append(f"read only the first MiB of {self.cut} larger mails")
        return "; ".join(lines)


class Digest:
    """SHA-256 over the names, kinds and contents of a corpus's mails, added in the order of `find_mails`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._digest = hashlib.sha256()

    def add(self, mail: MailFile, raw: bytes) -> None:
        """Add one mail, with the content that `read_mail` returns."""
        # A file name need not be UTF-8.
        self._digest.update(os.fsencode(mail.path.relative_to(self._root).as_posix()))
        self._digest.update(f"\0{mail.spam}\0{len(raw)}\0".encode())
        self._digest.update(raw)

    def hexdigest(self) -> str:
        """Return the digest of the mails added so far, in hex."""
        return self._digest.hexdigest()


def find_mails(root: Path, at_least: int) -> list[MailFile]:
    """Return the mails of a corpus folder in the order of their names.

    Args:
        at_least: Fewest mails of each kind.

    Raises:
        CorpusError: For the reasons that `survey` gives.
    """
    return survey(root, at_least).mails


def survey(root: Path, at_least: int) -> Survey:
    """Return the mails of a corpus folder and counts of what is left out.

    Args:
        at_least: Fewest mails of each kind.

    Raises:
        CorpusError: If the folder or its content cannot be read, if it is not a corpus of a known form, or if it has
            too few mails of a kind.
    """
    found = Survey()
    for folder, spam in _folders(root, found.skipped):
        for path in _entries(folder):
            _take(path, spam, found)
    for kind, spam in (("ham", False), ("spam", True)):
        if (count := found.count(spam)) < at_least:
            remarks = f" ({remarks})" if (remarks := found.remarks()) else ""
            raise CorpusError(
                f"corpus {shown(root)} has {count} {kind} mails{remarks} and needs {at_least} or more,"
                f" in {FOLDERS_HINT}"
            )
    return found


def read_mail(mail: MailFile) -> bytes:
    """Return the first `SIZE_LIMIT` bytes of a mail.

    Raises:
        CorpusError: If the file cannot be read.
    """
    return _read(mail.path, SIZE_LIMIT)


def shown(path: Path) -> str:
    """Return a path in printable form, whatever bytes are in its name."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _folders(root: Path, skipped: Counter[str]) -> list[tuple[Path, bool]]:
    """Return the folders of mails and whether they hold spam."""
    _check_root(root)
    found: list[tuple[Path, bool]] = []
    for path in _entries(root):
        is_folder = stat.S_ISDIR(_mode(path))
        kind = kind_of(path.name) if is_folder else None
        if kind:
            found.append((path, kind == "spam"))
        elif is_folder and not path.name.startswith("."):
            raise CorpusError(
                f"corpus folder {shown(path)} is not clearly ham or spam; the corpus must have {FOLDERS_HINT}"
            )
        else:
            skipped["beside the folders"] += 1
            _check_form(path)
    _check_distinct(found)
    return found


def _check_root(root: Path) -> None:
    try:
        if root.is_file():
            what = refusal_of_file(root, _read(root, HEAD_BYTES)) or "is a file and not a folder"
            raise CorpusError(f"corpus {shown(root)} {what}; set CORPUS_DIR or --corpus to a folder of {FOLDERS_HINT}")
        root.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise CorpusError(
            f"corpus folder {shown(root)} does not exist; set CORPUS_DIR or --corpus to a folder of {FOLDERS_HINT}"
        ) from None
    except OSError as error:
        raise CorpusError(f"corpus folder {shown(root)} cannot be read: {error.strerror}") from None
    _check_maildir(root)


def _check_maildir(folder: Path) -> None:
    if is_maildir(folder):
        raise CorpusError(
            f"corpus folder {shown(folder)} is a Maildir, which is not taken yet: copy the files of its folders cur and"
            f" new; the corpus must have {FOLDERS_HINT}"
        )


def _check_distinct(folders: list[tuple[Path, bool]]) -> None:
    """Check that no folder occurs twice through a symbolic link."""
    real: dict[str, Path] = {}
    for path, _ in folders:
        if (other := real.setdefault(os.path.realpath(path), path)) is not path:
            raise CorpusError(
                f"corpus folders {shown(other)} and {shown(path)} are the same folder; remove one of them"
            )


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise CorpusError(
            f"corpus folder {shown(folder)} cannot be read: {error.strerror}; change its permissions or remove it"
        ) from None


def _take(path: Path, spam: bool, found: Survey) -> None:
    """Add a file to the mails, or count the reason to skip it."""
    if reason := _reason_to_skip(path):
        found.skipped[reason] += 1
        return
    _check_form(path)
    found.mails.append(MailFile(path, spam))
    found.cut += path.stat().st_size > SIZE_LIMIT


def _reason_to_skip(path: Path) -> str:
    if path.name.startswith("."):
        return "hidden"
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        _check_maildir(path.parent)
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
        raise CorpusError(
            f"corpus file {shown(path)} cannot be read: {error.strerror}; change its permissions or remove it"
        ) from None


def _check_form(path: Path) -> None:
    """Check that a file is a single mail, not a mailbox or something else."""
    regular = stat.S_ISREG(_mode(path)) and not path.name.startswith(".")
    if regular and (what := refusal_of_file(path, _read(path, HEAD_BYTES))):
        raise CorpusError(f"corpus file {shown(path)} {what}; the corpus must have {FOLDERS_HINT}")


def _read(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as source:
            return source.read(size)
    except OSError as error:
        raise CorpusError(
            f"corpus file {shown(path)} cannot be read: {error.strerror}; change its permissions or remove it"
        ) from None
