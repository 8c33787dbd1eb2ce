"""Blocks of a text: paragraphs, bullets, buttons and quoted lines, as templates and pasted mail write them."""

import re
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

_BREAK = re.compile(r"\n[ \t]*(?=\n)")
_BUTTON = re.compile(r"\[([^\[\]\n]{1,200})\]\((\S{1,4000})\)$")
_INLINE = re.compile(r"\[([^\[\]\n]{1,200})\]\((https?://[^\s()]{1,4000}|mailto:[^\s()]{1,200})\)")


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
    """Return a text's blocks in order; blocks are parted by blank lines or by a change of their marks."""
    found = []
    for paragraph in _BREAK.split(text):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        for kind, run in groupby(lines, _kind):
            found += _of_kind(kind, list(run))
    return found


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
