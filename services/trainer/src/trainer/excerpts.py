"""Short plain-text mails, cut out of the training mails.

The corpora that there are hold whole messages, and a model of those alone takes any mail of one line for spam: no list
signature, no quoted line, hardly a known word. A piece of a ham mail is as good as ham, so pieces teach what short
mail looks like; of spam that holds less, since a piece of it may be harmless.
"""

import math
import random
import re

from features import markup, mime

SHORTEST = 5
LONGEST = 400
"""Characters of text in an excerpt, at most; drawn evenly on a logarithm, so that one line is as common as ten."""
SUBJECT_SHARE = 0.5
"""Share of the excerpts that keep their mail's subject: what people paste has one, or has none."""
SEED = 0

_LINE = re.compile(r"^(?=\S)", re.MULTILINE)


def excerpt(raw: bytes, chosen: random.Random) -> str:
    """A piece of a mail's text as a plain-text mail of its own; empty for a mail without text.

    Args:
        raw: A whole mail.
        chosen: Draws length, place and whether there is a subject.
    """
    mail = mime.parse(raw)
    text = "\n".join([*mail.plain, *[markup.parse(source).shown for source in mail.html]]).strip()
    length = int(math.exp(chosen.uniform(math.log(SHORTEST), math.log(LONGEST))))
    piece = _piece(text, length, chosen)
    subject = " ".join(mail.subject.split())
    return f"Subject: {subject}\n\n{piece}" if chosen.random() < SUBJECT_SHARE and subject else piece


def _piece(text: str, length: int, chosen: random.Random) -> str:
    """At most `length` characters from the beginning of some line on, without a last word that may be cut."""
    if len(text) <= length:
        return text
    # The beginning of a mail is mostly a greeting or "... wrote:", which is not what all short mails are.
    starts = [line.start() for line in _LINE.finditer(text, 0, len(text) - length)]
    start = chosen.choice(starts)
    return text[start : start + length].rsplit(None, 1)[0]
