"""Mails of an mbox file, as in RFC 4155.

The standard library's `mailbox.mbox` begins a mail at every line that begins with "From ", also in the middle of a
text, and leaves the ">" before those that were escaped. Here a mail begins after a blank line, at a line with a date.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from corpus.mails import SIZE_LIMIT

_SEPARATOR = re.compile(rb"From .{0,200}?\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b.{0,40}\d\d:\d\d.{0,40}\b(?:19|20)\d\d\b")
_ESCAPED = re.compile(rb">+From ")
_PIECE = 1 << 16


class NoMbox(Exception):
    """Error for a file whose first line begins no mail."""


def is_separator(line: bytes) -> bool:
    """Return whether a line begins a mail, if it is the first or follows a blank one."""
    return line.startswith(b"From ") and bool(_SEPARATOR.match(line[:400]))


def has_many(source: BinaryIO) -> bool:
    """Return whether a file holds two mails or more.

    One separator at the beginning is the envelope of a single mail, as in the SpamAssassin corpus.
    """
    return sum(1 for start, line in _lines(source) if start and is_separator(line)) > 1


def mails(source: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield each mail's content, at most `SIZE_LIMIT` bytes, and whether something was cut off.

    Raises:
        NoMbox: If the first line that is not blank begins no mail.
    """
    mail: bytearray | None = None
    for start, line in _lines(source):
        if start and is_separator(line):
            if mail is not None:
                yield _ended(mail)
            mail = bytearray()
        elif mail is None:
            if line.strip():
                raise NoMbox
        elif len(mail) <= SIZE_LIMIT:
            mail += line[1:] if _ESCAPED.match(line) else line
    if mail is not None:
        yield _ended(mail)


def _ended(mail: bytearray) -> tuple[bytes, bool]:
    # The blank line before the next separator is not the mail's.
    end = next((end for end in (b"\r\n\r\n", b"\n\n") if mail.endswith(end)), b"")
    whole = bytes(mail[: len(mail) - len(end) // 2])
    return whole[:SIZE_LIMIT], len(whole) > SIZE_LIMIT


def _lines(source: BinaryIO) -> Iterator[tuple[bool, bytes]]:
    """Yield pieces of lines, and whether a mail may begin there: at the first line and after a blank one."""
    may_begin, whole = True, True
    while piece := source.readline(_PIECE):
        yield may_begin and whole, piece
        may_begin = whole and piece in (b"\n", b"\r\n")
        whole = piece.endswith(b"\n")
