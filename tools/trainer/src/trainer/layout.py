"""Blocks of a text: paragraphs, bullets, buttons and quoted lines, as templates and pasted mail write them."""

import re
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

_BREAK = re.compile(r"\n[ \t]*(?=\n)")
_BUTTON = re.compile(r"\[([^\[\]\n]{1,200})\]\((\S{1,4000})\)$")
_INLINE = re.compile(r"\[([^\[\]\n]{1,200})\]\((https?://[^\s()]{1,4000}|mailto:[^\s()]{1,200})\)")

SHORTEST_WRAPPED = 50
LONGEST_WRAPPED = 130
"""Characters of a line, shortest and longest, that the next line may continue; others end where they are meant to."""


class Kind(Enum):
    """Kind of a block."""

    PARAGRAPH = "paragraph"
    BULLETS = "bullets"
    BUTTON = "button"
    QUOTE = "quote"


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together, without their marks (`- `, `> `)."""

    kind: Kind
    lines: tuple[str, ...]
    link: str = ""
    """Link of a button."""


def blocks(text: str) -> list[Block]:
    """Return a text's blocks in order; blocks are parted by blank lines or by a change of their marks.

    Lines that were wrapped for width are joined, because HTML has no such lines.
    """
    found = []
    for paragraph in _BREAK.split(unwrapped(text)):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        for kind, run in groupby(lines, _kind):
            found += _of_kind(kind, list(run))
    return found


def unwrapped(text: str) -> str:
    """Return a text whose lines that were wrapped for width are joined."""
    found: list[str] = []
    before = ""
    for line in text.split("\n"):
        if _continues(before, line):
            found += [" ", line.lstrip("> \t")]
        else:
            found += ["\n", line]
        before = line
    return "".join(found[1:])


def _continues(before: str, line: str) -> bool:
    """Return whether a line goes on where the one before was wrapped."""
    wrapped = SHORTEST_WRAPPED <= len(before) <= LONGEST_WRAPPED and " " in before.strip("> \t")
    if not wrapped or not line.strip("> \t"):
        return False
    kinds = _kind(before.strip()), _kind(line.strip())
    return kinds in ((Kind.PARAGRAPH,) * 2, (Kind.QUOTE,) * 2, (Kind.BULLETS, Kind.PARAGRAPH))


def _kind(line: str) -> Kind:
    if line.startswith(("- ", "* ")):
        return Kind.BULLETS
    if line.startswith(">"):
        return Kind.QUOTE
    return Kind.BUTTON if _BUTTON.match(line) else Kind.PARAGRAPH


def _of_kind(kind: Kind, lines: list[str]) -> list[Block]:
    if kind is Kind.BUTTON:
        pairs = [found.groups() for line in lines if (found := _BUTTON.match(line))]
        return [Block(kind, (words,), link) for words, link in pairs]
    if kind is Kind.BULLETS:
        lines = [line[2:].strip() for line in lines]
    if kind is Kind.QUOTE:
        lines = [line.lstrip("> ") for line in lines]
    return [Block(kind, tuple(lines))]


def inline(line: str) -> list[tuple[str, str]]:
    """Return a line's pieces as pairs of words and link; the link is empty for words without one."""
    pieces = [*_INLINE.split(line), "", ""]
    pairs = zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True)
    return [pair for before, words, link in pairs for pair in ((before, ""), (words, link)) if pair[0]]


def plain(text: str, button: str) -> str:
    """Return a text as plain text, with its links beside their words.

    Args:
        text: Text with `[words](link)`.
        button: Pattern of a link with the fields words and link.
    """
    return _INLINE.sub(lambda found: button.format(words=found[1], link=found[2]), text)
