"""Parts: copies of mails with a part of their lines or sentences.

A model of whole messages leans on many weak words at once. Copies that lack most of them teach it to judge by the few
that are left, as in mail that is shorter or newer than its corpus.
"""

import math
import random
import re

from trainer.seen import Seen

SMALLEST = 0.1
LARGEST = 0.6
"""Shares of the mail's words in a part, drawn evenly between both."""
SUBJECT_SHARE = 0.7
"""Share of the parts that keep their mail's subject."""
LONGEST_UNCUT = 40
"""Most words of a last line or sentence that stays whole where it exceeds the share."""

_LINES = re.compile(r"(?<=\n)(?=\S)")
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n\s*\n")


def part(found: Seen, chosen: random.Random) -> Seen:
    """Return contiguous lines or sentences of a seen text, with some of its links.

    Args:
        found: Seen text of a whole mail.
        chosen: Random numbers for size, place, and whether the subject stays.
    """
    lines = chosen.random() < 0.5
    pieces = [piece for piece in (_LINES if lines else _SENTENCES).split(found.text) if piece.strip()]
    share = chosen.uniform(SMALLEST, LARGEST)
    text = ("" if lines else " ").join(_run(pieces, share, chosen)).strip()
    links = tuple(link for link in found.links if chosen.random() < share)
    return Seen(found.subject if chosen.random() < SUBJECT_SHARE else "", text, links)


def _run(pieces: list[str], share: float, chosen: random.Random) -> list[str]:
    """Return contiguous pieces with about a share of all words, at least one piece."""
    counts = [len(piece.split()) for piece in pieces]
    wanted = share * sum(counts)
    start = chosen.randrange(len(pieces)) if pieces else 0
    left = sum(counts[start:])
    # A start near the end is moved ahead until enough words follow it.
    while start and left < wanted:
        start -= 1
        left += counts[start]
    size, taken = 0, start
    while taken < len(pieces) and size < wanted:
        size += counts[taken]
        taken += 1
    return _cut(pieces[start:taken], math.ceil(size - wanted))


def _cut(pieces: list[str], spare: int) -> list[str]:
    """Return the pieces without the last one's spare words, if that is the only piece or a long one."""
    words = pieces[-1].split() if pieces else []
    if spare > 0 and (len(pieces) == 1 or len(words) > LONGEST_UNCUT):
        return [*pieces[:-1], " ".join(words[: max(1, len(words) - spare)])]
    return pieces
