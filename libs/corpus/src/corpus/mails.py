"""Mails of a corpus: where each is kept, and its content."""

import hashlib
import os
import re
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path

from corpus.errors import CorpusError, unreadable

SIZE_LIMIT = 1 << 20
"""Most bytes read of one mail; the gateway accepts as many."""
_FLAGS = re.compile(r"[:;!]2,[A-Za-z]*$")


class Spool:
    """Temporary file for mails that share a file, so that any of them can be read again at once.

    A compressed file cannot be entered in the middle, and memory would not hold a large mailbox. The file has no name
    and goes with the last mail that refers to it.
    """

    def __init__(self) -> None:
        """Make the file.

        Raises:
            CorpusError: If there is no folder for temporary files.
        """
        try:
            self._file = tempfile.TemporaryFile(prefix="corpus-")  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from None
        self._size = 0
        weakref.finalize(self, self._file.close)

    def add(self, raw: bytes) -> "Stored":
        """Append a mail and return its place.

        Raises:
            CorpusError: If the disk is full.
        """
        try:
            self._file.write(raw)
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from None
        stored = Stored(self, self._size, len(raw))
        self._size += len(raw)
        return stored

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from `start`; several threads may call it at once."""
        return os.pread(self._file.fileno(), size, start)


def _no_room(why: OSError) -> CorpusError:
    return CorpusError(
        f"the corpus cannot be unpacked into a temporary file: {why.strerror}; set TMPDIR to a folder with room"
    )


@dataclass(frozen=True, slots=True)
class Stored:
    """Place of a mail within a spool."""

    spool: Spool
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class MailFile:
    """One mail of a corpus: a file, or one of the mails in a file."""

    path: Path
    spam: bool
    number: int = 0
    """Position in a mailbox or line of a table, from 1; 0 if the file is the mail."""
    in_maildir: bool = False
    stored: Stored | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Return a short name for people; a mail in a file has its number."""
        number = f"#{self.number}" if self.number else ""
        return f"{self.path.parent.name}/{self.path.name}{number}"

    def identity(self, root: Path) -> bytes:
        """Return the name that the digest of the corpus contains.

        Reading a mail in a Maildir moves it from `new` to `cur` and adds flags, so neither is part of the name.
        """
        path = self.path.relative_to(root)
        if self.in_maildir:
            path = path.parent.parent / unique_name(path.name)
        # A file name need not be UTF-8.
        return os.fsencode(path.as_posix())


class Digest:
    """SHA-256 over the names, kinds and contents of a corpus's mails, added in the order of `find_mails`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._digest = hashlib.sha256()

    def add(self, mail: MailFile, raw: bytes) -> None:
        """Add one mail, with the content that `read_mail` returns."""
        self._digest.update(mail.identity(self._root))
        self._digest.update(f"\0{mail.spam}\0{len(raw)}\0".encode())
        self._digest.update(raw)

    def hexdigest(self) -> str:
        """Return the digest of the mails added so far, in hex."""
        return self._digest.hexdigest()


def read_mail(mail: MailFile) -> bytes:
    """Return the first `SIZE_LIMIT` bytes of a mail.

    Raises:
        CorpusError: If the file cannot be read.
    """
    if stored := mail.stored:
        return stored.spool.read(stored.start, stored.size)
    return read_head(mail.path, SIZE_LIMIT)


def read_head(path: Path, size: int) -> bytes:
    """Return the first `size` bytes of a file.

    Raises:
        CorpusError: If the file cannot be read.
    """
    try:
        with path.open("rb") as source:
            return source.read(size)
    except OSError as error:
        raise unreadable(path, error) from None


def unique_name(name: str) -> str:
    """Return the name of a Maildir's file without its flags."""
    return _FLAGS.sub("", name)


def flags(name: str) -> str:
    """Return the flags of a Maildir's file, such as "ST"; empty if it has none."""
    found = _FLAGS.search(name)
    return found.group()[3:] if found else ""
