"""Dressing: any text as HTML mail of 2015 to 2026.

In the public corpora ham is hardly ever HTML and spam mostly is. Ham and spam are dressed by the same draws, so that
HTML as such, its tags, images, tracking links and footers say nothing about either.
"""

import random
import re
import textwrap
from dataclasses import dataclass

from trainer import details, envelope, furniture, hosts, layout
from trainer.frames import FRAMES
from trainer.seen import Seen

HTML_ONLY_SHARE = 0.45
"""Share of the dressed messages without a text part; the others are multipart/alternative."""
STUB_SHARE = 0.1
"""Share of the text parts that hold the first words alone, as careless mailing systems write them."""
WRAPPED_SHARE = 0.5
"""Share of the plain texts whose lines are wrapped for width."""

_BARE = re.compile(r"(?<![\[\](\w])(https?://[^\s<>\"'()\[\]]{1,2000}[\w/=&#~-])")
_BUTTONS = ("{words}: {link}", "{words}\n{link}", "{words} <{link}>", "{words} ( {link} )", "{link}")


@dataclass(frozen=True, slots=True)
class Sent:
    """Header fields of a message to make, and its language."""

    subject: str
    sender: str = ""
    """Value of the From field; empty for a made-up one."""
    language: str = "en"


def dress(text: str, subject: str, seed: int) -> bytes:
    """Return a text as a whole HTML message; the same arguments give the same message.

    Args:
        text: Paragraphs parted by blank lines, bullets (`- `), links as `[words](link)` or bare.
        subject: Subject of the message.
        seed: Which of the possible messages.
    """
    return message(text, Sent(subject), random.Random(f"dress/{seed}/{len(text)}/{subject}"))


def dressed(found: Seen, chosen: random.Random) -> bytes:
    """Return the seen text of a mail with its links as a whole HTML message."""
    return message(_linked(found, chosen), Sent(found.subject), chosen)


def plain_copy(found: Seen, chosen: random.Random) -> bytes:
    """Return the seen text of a mail with its links as a whole plain-text message."""
    return plain_message(_linked(found, chosen), Sent(found.subject), chosen)


def message(text: str, sent: Sent, chosen: random.Random) -> bytes:
    """Return a text as a whole HTML message in a random frame."""
    linked = _BARE.sub(r"[\1](\1)", text)
    look = furniture.Look(chosen, sent.language, sent.subject)
    source = chosen.choice(FRAMES)(look, layout.blocks(linked))
    return envelope.message(_envelope(sent, chosen), _alternative(text, chosen), source, chosen)


def plain_message(text: str, sent: Sent, chosen: random.Random) -> bytes:
    """Return a text as a whole plain-text message."""
    return envelope.message(_envelope(sent, chosen), _plain(text, chosen), "", chosen)


def _plain(text: str, chosen: random.Random) -> str:
    """Return a text as plain text, in some messages wrapped for width."""
    plain = layout.plain(text, chosen.choice(_BUTTONS))
    if chosen.random() >= WRAPPED_SHARE:
        return plain
    width = chosen.randrange(64, 79)
    return "\n".join(_wrapped(line, width) for line in plain.split("\n"))


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width or line.startswith(">"):
        return line
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def _alternative(text: str, chosen: random.Random) -> str:
    if chosen.random() < HTML_ONLY_SHARE:
        return ""
    plain = _plain(text, chosen)
    return plain[: chosen.randrange(20, 300)] if chosen.random() < STUB_SHARE else plain


def _envelope(sent: Sent, chosen: random.Random) -> envelope.Envelope:
    detail = details.Details(chosen, sent.language)
    address = f"{detail('first')} {detail('last')} <{hosts.name(chosen)}@{detail('host')}>"
    sender = sent.sender or address
    if "@" not in sender:
        sender = f"{sender} <{hosts.name(chosen)}@{detail('host')}>"
    return envelope.Envelope(sent.subject, sender, f"{hosts.name(chosen)}@{chosen.choice(_MAILBOXES)}")


_MAILBOXES = ("mail.example", "example.com", "example.org", "post.example")


def _linked(found: Seen, chosen: random.Random) -> str:
    """Return the text with each link on some words of a paragraph, in order; spare links follow as buttons."""
    paragraphs = re.split(r"\n[ \t]*(?=\n)", found.text.replace("[", "(").replace("]", ")"))
    left = list(found.links)
    for number, paragraph in enumerate(paragraphs):
        lines = paragraph.split("\n")
        if left and (line := _anchored(lines[-1], left[0], chosen)):
            paragraphs[number] = "\n".join([*lines[:-1], line])
            left.pop(0)
    words = [chosen.choice(furniture.LINK_WORDS) for _ in left]
    return "\n\n".join([*paragraphs, *[f"[{text}]({link})" for text, link in zip(words, left, strict=True)]])


def _anchored(line: str, link: str, chosen: random.Random) -> str:
    """Return a line with a link on its last words; empty if it has no place for one."""
    words = line.split()
    if not words or "://" in line or line.startswith(">"):
        return ""
    cut = max(0, len(words) - chosen.randrange(1, 6))
    return " ".join([*words[:cut], f"[{' '.join(words[cut:])[:200]}]({link})"])
