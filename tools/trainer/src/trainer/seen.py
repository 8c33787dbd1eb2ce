"""Seen text of a mail: what its reader sees of it, with its links."""

import html
import re
from dataclasses import dataclass

from features import TEXT_LIMIT, markup, mime

LINK_LIMIT = 20
"""Most links that are kept of one mail."""

_HREF = re.compile(r"""\bhref\s{0,9}=\s{0,9}["']?(https?://[^\s"'<>()\[\]]{4,2000})""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Seen:
    """Subject, text and links of a mail."""

    subject: str
    text: str
    links: tuple[str, ...]
    """Different links of the HTML's anchors in order; those of plain text are in the text."""


def seen(raw: bytes) -> Seen:
    """Return what a reader sees of a mail: its HTML or its plain text, whichever has more words."""
    mail = mime.parse(raw)
    plain = "\n\n".join(mail.plain).strip()
    shown = "\n\n".join(markup.parse(source).shown for source in mail.html).strip()
    found = [html.unescape(link) for source in mail.html for link in _HREF.findall(source)]
    text = shown if len(shown.split()) > len(plain.split()) else plain
    return Seen(" ".join(mail.subject.split()), text[:TEXT_LIMIT], tuple(dict.fromkeys(found))[:LINK_LIMIT])
