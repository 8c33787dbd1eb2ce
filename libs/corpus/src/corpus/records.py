"""Mails of files that hold many: mbox, JSON lines and tables."""

import csv
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from corpus import labels, mbox
from corpus.errors import CorpusError, shown
from corpus.kinds import FOLDERS_HINT
from corpus.streams import LINE_LIMIT, lines

SHOWN = 60
"""Most characters of a foreign value in a message."""


@dataclass(frozen=True, slots=True)
class Record:
    """One mail of a file."""

    number: int
    """Position in a mailbox or line in a table, from 1."""
    raw: bytes
    spam: bool
    cut: bool = False


def of_mbox(source: BinaryIO, path: Path, named: bool | None) -> Iterator[Record]:
    """Yield the mails of an mbox.

    Args:
        source: Content of the file.
        path: Its name, for error messages.
        named: Whether the file's or folder's name says spam; None if it leaves doubt.

    Raises:
        CorpusError: If the file is no mbox, or if its name leaves doubt.
    """
    if named is None:
        raise CorpusError(
            f"corpus file {shown(path)} has a name that is not clearly ham or spam; the corpus must have {FOLDERS_HINT}"
        )
    try:
        for number, (raw, cut) in enumerate(mbox.mails(source), 1):
            yield Record(number, raw, named, cut)
    except mbox.NoMbox:
        raise CorpusError(
            f'corpus file {shown(path)} is no mbox: its first line must be "From <sender> <date>";'
            " rename it, or export it again"
        ) from None


def of_json(source: BinaryIO, path: Path, named: bool | None) -> Iterator[Record]:
    """Yield the mails of JSON lines such as {"spam": 0, "mail": "…"}.

    Args:
        source: Content of the file.
        path: Its name, for error messages.
        named: Whether the name says spam; it counts for lines without a label.

    Raises:
        CorpusError: If a line is no object with a label and a mail.
    """
    for number, line in enumerate(lines(source, path), 1):
        if line.strip():
            yield _of_object(_parsed(line, path, number), path, number, named)


def _parsed(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        why = getattr(error, "msg", "") or type(error).__name__
        _refuse(path, number, f"is no JSON ({why}); fix or remove the line")
    if not isinstance(found, dict):
        _refuse(path, number, 'is no JSON object; each line must be one, such as {"spam": 0, "mail": "…"}')
    return found


def _of_object(found: dict[str, Any], path: Path, number: int, named: bool | None) -> Record:
    names = list(found)
    label, text = labels.place(names, labels.LABELS), labels.place(names, labels.TEXTS)
    if text is None:
        _refuse(path, number, f"has no field for the mail: found {_named(names)}; {labels.known_columns()}")
    spam = named if label is None else _label(found[names[label]], path, number)
    if spam is None:
        _refuse(path, number, f"has no label: found {_named(names)}; {labels.known_columns()}")
    mail = found[names[text]]
    subject = labels.place(names, labels.SUBJECTS)
    title = found[names[subject]] if subject is not None else None
    if not isinstance(mail, str) or not isinstance(title, str | None):
        _refuse(path, number, f"has no text as {names[text]!r}; it must be a string")
    # The field `mail` holds raw bytes, one a character; text beyond Latin-1 is text.
    raw = _encoded(mail, title, path, number, as_bytes=title is None and names[text].lower() == "mail")
    return Record(number, raw, spam)


def _encoded(text: str, subject: str | None, path: Path, number: int, as_bytes: bool = False) -> bytes:
    if as_bytes:
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            pass
    try:
        return labels.as_mail(text, subject)
    except UnicodeEncodeError:
        _refuse(path, number, "holds half a surrogate pair, which no text has; fix or remove the line")


def _label(value: object, path: Path, number: int) -> bool:
    spam = labels.is_spam(value)
    if spam is None:
        _refuse(path, number, f"has the label {str(value)[:SHOWN]!r}; {labels.known_values()}")
    return spam


def of_table(source: BinaryIO, path: Path, named: bool | None) -> Iterator[Record]:
    """Yield the mails of a table, CSV with a comma, semicolon or tab.

    Args:
        source: Content of the file.
        path: Its name, for error messages.
        named: Whether the name says spam; it counts for a table without a label.

    Raises:
        CorpusError: If there are no columns for label or mail, or if a line is broken.
    """
    decoded = (_text(line) for line in lines(source, path))
    first = next(decoded, "")
    delimiter = max("\t;,", key=first.count)
    headless = labels.is_spam(first.split(delimiter)[0].strip('" ')) is not None
    # Tables without a header and with tabs, such as UCI's, have quotes that nothing closes.
    plain = headless and delimiter == "\t"
    csv.field_size_limit(LINE_LIMIT)
    rows = csv.reader(
        itertools.chain([first], decoded),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL,
        strict=True,
    )
    names = ["label", "text"] if headless else [name.strip() for name in _next(rows, path, 1) or []]
    columns = _columns(names, path)
    if columns.label is None and named is None:
        raise CorpusError(f"corpus file {shown(path)} has no label: found {_named(names)}; {labels.known_columns()}")
    before = rows.line_num
    while (row := _next(rows, path, before + 1)) is not None:
        if row:
            raw, label = _of_row(row, names, columns, path, before + 1)
            yield Record(before + 1, raw, bool(named) if label is None else label)
        before = rows.line_num


@dataclass(frozen=True, slots=True)
class _Columns:
    """Positions of the columns; None for those that are missing."""

    label: int | None
    text: int
    subject: int | None


def _columns(names: list[str], path: Path) -> _Columns:
    text = labels.place(names, labels.TEXTS)
    if text is None:
        raise CorpusError(
            f"corpus file {shown(path)} has no column for the mail: found {_named(names)}; {labels.known_columns()}"
        )
    return _Columns(labels.place(names, labels.LABELS), text, labels.place(names, labels.SUBJECTS))


def _next(rows: Any, path: Path, number: int) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as error:
        _refuse(path, number, f"is no row of a table ({error}); fix its quotes or remove it")


def _of_row(row: list[str], names: list[str], columns: _Columns, path: Path, number: int) -> tuple[bytes, bool | None]:
    """Return the mail of a row and its label, if the table has one."""
    # Spreadsheets leave out or add empty cells at the end.
    if len(row) <= max(columns.text, columns.label or 0, columns.subject or 0) or any(row[len(names) :]):
        _refuse(path, number, f"has {len(row)} columns and the header {len(names)}; fix its quotes or remove it")
    subject = row[columns.subject] if columns.subject is not None else None
    raw = _encoded(row[columns.text], subject, path, number) if row[columns.text].strip() or subject else b""
    return raw, None if columns.label is None else _label(row[columns.label], path, number)


def _text(line: bytes) -> str:
    """Return a line as UTF-8, else as Windows-1252, else as Latin-1, which takes every byte."""
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            pass
    return line.decode("latin-1")


def _named(names: list[str]) -> str:
    return ", ".join(repr(name[:SHOWN]) for name in names[:20]) or "none"


def _refuse(path: Path, number: int, why: str) -> NoReturn:
    raise CorpusError(f"corpus file {shown(path)}, line {number} {why}")


READERS: dict[str, Callable[[BinaryIO, Path, bool | None], Iterator[Record]]] = {
    "mbox": of_mbox,
    "json": of_json,
    "table": of_table,
}
"""Readers by the form that `formats.form_of` returns."""
