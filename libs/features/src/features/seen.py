"""Text that a reader sees of one mail, taken apart once for all numbers."""

from dataclasses import dataclass

from features import links, markup, mime, words
from features.links import Link
from features.text import readable

TEXT_LIMIT = 16_000
"""Most characters that a reader sees and that are read: of all plain parts together, and again of all HTML parts."""


@dataclass(slots=True)
class Seen:
    """One mail as its reader sees it."""

    mail: mime.ParsedMail
    marked: list[markup.Markup]
    """HTML parts."""
    plain: str
    """Text of the plain parts, at most `TEXT_LIMIT` characters."""
    body: str
    """Text of all parts, at most twice as many."""
    lowered: str
    """The body in lower case."""
    shown: str
    """The body's words, separated by blanks."""
    split: list[str]
    """The body's words."""
    different: dict[str, None]
    """The body's words, each once, in order of appearance."""
    subject: list[str]
    """The subject's words."""
    links: list[Link]
    """Different links of text and HTML."""
    names: list[str]
    """Different hosts of links that are names."""
    addresses: list[str]
    """Different hosts of links that are IP addresses."""


def see(email: str | bytes) -> Seen:
    """Return a mail as its reader sees it; no content raises an error."""
    mail = mime.parse(email)
    marked = [markup.parse(source) for source in mail.html]
    plain, html = _limited(mail.plain), _limited([readable(part.shown) for part in marked])
    body = f"{plain}\n{html}" if mail.plain and marked else plain or html
    lowered = body.lower()
    found = links.find(lowered, [value for part in marked for value in part.links])
    shown = words.shown(lowered)
    split = shown.split()
    return Seen(
        mail=mail,
        marked=marked,
        plain=plain,
        body=body,
        lowered=lowered,
        shown=shown,
        split=split,
        different=dict.fromkeys(split),
        subject=words.subject(mail.subject),
        links=found,
        names=list(dict.fromkeys([link.host for link in found if not link.is_address])),
        addresses=list(dict.fromkeys([link.host for link in found if link.is_address])),
    )


def _limited(texts: list[str]) -> str:
    """Return texts as one, each on lines of its own, cut to `TEXT_LIMIT`."""
    if len(texts) == 1:
        return texts[0][:TEXT_LIMIT]
    found: list[str] = []
    room = TEXT_LIMIT
    for text in texts:
        found.append(text[:room])
        room -= len(found[-1]) + 1
        if room <= 0:
            break
    return "\n".join(found)
