"""Error of a corpus, and how its messages name files."""

import os
from pathlib import Path


class CorpusError(Exception):
    """Error for mail that is not a corpus; the message says what to do next."""


def shown(path: Path) -> str:
    """Return a path in printable form, whatever bytes are in its name."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def unreadable(path: Path, why: OSError, what: str = "file") -> CorpusError:
    """Return the error for a file or folder that the system refuses to read."""
    return CorpusError(
        f"corpus {what} {shown(path)} cannot be read: {why.strerror or why}; change its permissions or remove it"
    )
