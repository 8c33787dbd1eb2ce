"""Excerpts: short plain-text mails cut out of the training mails.

Public corpora hold whole messages. A model trained on them alone calls any one-line mail spam, because it has no list
signature, no quoted line and hardly a known word. A piece of a ham mail is still ham, so excerpts teach what short mail
looks like. This holds less for spam, since a piece of it may be harmless.
"""

import math
import random
import re

from features import markup, mime

SHORTEST = 5
LONGEST = 400
"""Most characters of text in an excerpt. Lengths are drawn on a logarithmic scale, so one line is as common as ten."""
SUBJECT_SHARE = 0.5
"""Share of the excerpts that keep their mail's subject, because some pasted mail has one and some has none."""

_LINE = re.compile(r"^(?=\S)", re.MULTILINE)


def excerpt(raw: bytes, chosen: random.Random) -> str:
    """Return a piece of a mail's text as a plain-text mail; empty for a mail without text.

    Args:
        raw: Whole mail.
        chosen: Random numbers for length, place and whether there is a subject.
    """
    mail = mime.parse(raw)
    text = "\n".join([*mail.plain, *[markup.parse(source).shown for source in mail.html]]).strip()
    length = int(math.exp(chosen.uniform(math.log(SHORTEST), math.log(LONGEST))))
    piece = _piece(text, length, chosen)
    subject = " ".join(mail.subject.split())
    return f"Subject: {subject}\n\n{piece}" if chosen.random() < SUBJECT_SHARE and subject else piece


def _piece(text: str, length: int, chosen: random.Random) -> str:
    """Return at most `length` characters from the beginning of some line, without a last word that may be cut."""
    if len(text) <= length:
        return text
    # A mail mostly begins with a greeting or "... wrote:", which is not typical of short mail.
    starts = [line.start() for line in _LINE.finditer(text, 0, len(text) - length)]
    start = chosen.choice(starts)
    return text[start : start + length].rsplit(None, 1)[0]
