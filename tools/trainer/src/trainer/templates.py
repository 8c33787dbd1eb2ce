"""Mail templates written for this project, filled with made-up details.

Public corpora hold hardly any mail of today: no parcel notice, no verification code, no crypto scam. Templates add
these kinds, and each is filled several times so that no name or amount is learned by heart.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainer import details, dressing, layout, vocabulary
from trainer.errors import TrainerError

ROOT = Path(__file__).parent / "templates"
"""Folder of the templates of this package."""
FORMS = ("plain", "html")
KINDS = {"ham": 0, "spam": 1}

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_MARK = re.compile(r"([{|}])")
_BLANKS = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")
_EDGES = re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE)
_HEADERS = ("Subject", "From", "Form")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Detail to fill in."""

    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives, one of which is taken."""

    options: tuple["Phrase", ...]


Phrase = tuple[str | Placeholder | Choice, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """Template of a mail."""

    name: str
    language: str
    spam: int
    """1 for spam, 0 for ham."""
    subject: Phrase
    sender: Phrase
    """Value of the From field; empty if the template names none."""
    forms: tuple[str, ...]
    """Forms that it is filled as, a part of `FORMS`."""
    body: Phrase


def load(root: Path = ROOT) -> list[Template]:
    """Return the templates in `<root>/<language>/{ham,spam}/*.txt`, in the order of languages, kinds and files.

    Raises:
        TrainerError: If a folder or file cannot be read or a template is malformed. It names the file and the line.
    """
    found: list[Template] = []
    for language in vocabulary.LANGUAGES:
        for kind in KINDS:
            for file in sorted((root / language / kind).glob("*.txt")):
                found += _templates(file, language, kind)
    _check_names(found)
    return found


def fill(template: Template, seed: int) -> bytes:
    """Return a whole message made of a template; the same seed gives the same message."""
    kind = "spam" if template.spam else "ham"
    chosen = random.Random(f"{template.language}/{kind}/{template.name}/{seed}")
    detail = details.Details(chosen, template.language)
    subject, sender, body = (
        _tidy(_filled(each, detail, chosen)) for each in (template.subject, template.sender, template.body)
    )
    make = {"plain": dressing.plain_message, "html": dressing.message}[chosen.choice(template.forms)]
    return make(layout.unwrapped(body), dressing.Sent(subject, sender, template.language), chosen)


def _tidy(text: str) -> str:
    """Return a text without the blanks that empty alternatives leave."""
    return _BLANKS.sub(" ", _EDGES.sub("", text)).strip()


def _filled(phrase: Phrase, detail: details.Details, chosen: random.Random) -> str:
    return "".join(_filled_piece(piece, detail, chosen) for piece in phrase)


def _filled_piece(piece: str | Placeholder | Choice, detail: details.Details, chosen: random.Random) -> str:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, Placeholder):
        return detail(piece.name)
    return _filled(chosen.choice(piece.options), detail, chosen)


def _check_names(found: list[Template]) -> None:
    seen = set()
    for template in found:
        key = (template.language, template.spam, template.name)
        if key in seen:
            raise TrainerError(
                f"template {template.name!r} of {template.language} is there twice: give each a name of its own"
            )
        seen.add(key)


Fault = Callable[[int, str], TrainerError]
"""Make the error of a line number, from 1, and of what must hold there."""


def _templates(file: Path, language: str, kind: str) -> list[Template]:
    def fault(line: int, what: str) -> TrainerError:
        return TrainerError(f"template {file}, line {line}: {what}")

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainerError(f"template {file} cannot be read as UTF-8 text: {error}") from error
    starts = [number for number, line in enumerate(lines) if line.startswith("===")]
    before = lines[: starts[0]] if starts else lines
    for number, line in enumerate(before, 1):
        if line.strip():
            raise fault(number, "a template begins with a line '=== name'")
    ends = [*starts[1:], len(lines)]
    return [
        _template(lines[start:end], start + 1, language, kind, fault) for start, end in zip(starts, ends, strict=True)
    ]


def _template(lines: list[str], first: int, language: str, kind: str, fault: Fault) -> Template:
    """Return the template of some lines, of which the first is line `first` of its file."""
    name = lines[0].removeprefix("===").strip()
    if not _NAME.fullmatch(name):
        raise fault(first, f"the name {name!r} must be small letters and digits joined by '-', such as 'parcel-notice'")
    headers, length = _headers(lines[1:], first + 1, fault)
    start = 1 + length
    body = "\n".join(lines[start:])
    if not body.strip():
        raise fault(first, f"template {name!r} has no body: write one after a blank line")
    if "Subject" not in headers:
        raise fault(first, f"template {name!r} has no line 'Subject: …'")
    subject, sender, form = (headers.get(each, (first, "")) for each in _HEADERS)
    if form[1] not in ("", *FORMS):
        raise fault(form[0], f"the form {form[1]!r} must be one of {', '.join(FORMS)}; leave it out for both")
    return Template(
        name,
        language,
        KINDS[kind],
        _Phrases(subject[1], subject[0], fault).phrase(),
        _Phrases(sender[1], sender[0], fault).phrase(),
        (form[1],) if form[1] else FORMS,
        _Phrases(body, first + start, fault).phrase(),
    )


def _headers(lines: list[str], first: int, fault: Fault) -> tuple[dict[str, tuple[int, str]], int]:
    """Return line number and value of each header, and the number of lines up to the body."""
    found: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines):
        if not line.strip():
            return found, number + 1
        name, colon, value = line.partition(":")
        if not colon or name not in _HEADERS or name in found:
            raise fault(
                first + number, f"{line[:40]!r} must be one line each of {', '.join(_HEADERS)}, then a blank line"
            )
        found[name] = (first + number, value.strip())
    return found, len(lines)


class _Phrases:
    """Reader of a text with placeholders and alternatives, which may contain one another."""

    def __init__(self, text: str, line: int, fault: Fault) -> None:
        self._pieces = _MARK.split(text)
        self._at = 0
        self._line = line
        self._fault = fault

    def phrase(self) -> Phrase:
        """Return the whole text as a phrase."""
        found: list[str | Placeholder | Choice] = []
        while self._at < len(self._pieces):
            piece = self._next()
            if piece == "}":
                raise self._fault(self._line, "a '}' without its '{'")
            found.append(self._braces() if piece == "{" else piece)
        return tuple(each for each in found if each)

    def _next(self) -> str:
        piece = self._pieces[self._at]
        self._at += 1
        self._line += piece.count("\n")
        return piece

    def _braces(self) -> Placeholder | Choice:
        opened = self._line
        options: list[list[str | Placeholder | Choice]] = [[]]
        while self._at < len(self._pieces):
            piece = self._next()
            if piece == "}":
                return self._closed(options, opened)
            if piece == "|":
                options.append([])
            elif piece:
                options[-1].append(self._braces() if piece == "{" else piece)
        raise self._fault(opened, "a '{' without its '}'")

    def _closed(self, options: list[list[str | Placeholder | Choice]], line: int) -> Placeholder | Choice:
        if len(options) > 1:
            return Choice(tuple(tuple(option) for option in options))
        name = options[0][0] if len(options[0]) == 1 else ""
        if name not in details.NAMES:
            written = name if isinstance(name, str) else "{…}"
            raise self._fault(line, f"unknown placeholder {{{written}}}; known: {', '.join(details.NAMES)}")
        return Placeholder(str(name))
