"""One mail as the text and the named numbers that the model sees."""

from typing import NamedTuple

from features import markup, mime, words

SCHEMA_VERSION = "1"
"""Changes whenever one mail's text or numbers do: a model serves only the schema it was trained on."""

TEXT_LIMIT = 400_000
"""Characters of the text for the model; only hostile mail comes near."""

DESCRIPTIONS: dict[str, str] = {
    "subject_length": "characters in the subject",
    "subject_capitals_share": "share of the subject's letters A-Z that are capitals, 0 to 1",
    "subject_marks": "characters ! ? $ * % in the subject",
    "text_length": "characters of text that a reader sees, all text parts together",
    "words": "words that a reader sees",
    "word_length_mean": "characters of a word that a reader sees, mean",
    "longest_word": "characters of the longest word that a reader sees",
    "lines": "lines that a reader sees",
    "quoted_lines": "lines that begin with >",
    "capitals_share": "share of the text's letters A-Z that are capitals, 0 to 1",
    "capital_words": "words of three letters or more in capitals",
    "digits_share": "share of the text's characters that are digits, 0 to 1",
    "symbols_share": "share of the text's characters that are punctuation or symbols of ASCII, 0 to 1",
    "exclamation_marks": "exclamation marks in the text",
    "currency_signs": "currency signs ($, euro, pound, yen) in the text",
    "non_ascii_share": "share of the text's characters outside ASCII, 0 to 1",
    "links": "different links (http, https) in text and markup",
    "link_hosts": "different hosts of links",
    "ip_links": "links to a bare IPv4 address instead of a name",
    "mail_addresses": "at signs in the text, as in mail addresses",
    "html_share": "share of the mail's text that came as HTML, 0 to 1",
    "markup_share": "share of the HTML source that a reader does not see, 0 to 1",
    "tags": "opening HTML tags",
    "images": "HTML images",
    "form_fields": "HTML form fields",
    "html_comments": "HTML comments",
    "parts": "MIME parts that are no containers",
    "attachments": "MIME parts that are no text or are marked as attachments",
}
NAMES: tuple[str, ...] = tuple(DESCRIPTIONS)

_SMALL = b"abcdefghijklmnopqrstuvwxyz"
_LARGE = _SMALL.upper()
_DIGITS = b"0123456789"
_SYMBOLS = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class Features(NamedTuple):
    """What the model sees of one mail."""

    text: str
    """Words to split on white space."""
    values: tuple[float, ...]
    """Finite numbers in the order of `NAMES`; units in `DESCRIPTIONS`."""


def extract(email: str | bytes) -> Features:
    """Turn a mail into what the model sees; never raises on content, in time linear in its length.

    Args:
        email: Plain text or a whole RFC 5322 message; bytes are read as UTF-8, else as Latin-1.
    """
    mail = mime.parse(email)
    marked = [markup.parse(source) for source in mail.html]
    body = "\n".join([*mail.plain, *[part.shown for part in marked]])
    lowered = body.lower()
    tags = "\n".join([part.tags for part in marked]).lower()
    links = words.links(lowered, tags)
    shown = words.shown(lowered)
    values = (
        *_subject_numbers(mail.subject),
        *_shown_numbers(body, shown),
        *_link_numbers(lowered, links),
        *_markup_numbers(mail, marked, tags),
    )
    return Features(_text(mail.subject, shown, tags, links), values)


def _text(subject: str, shown: str, tags: str, links: list[str]) -> str:
    pieces = [shown, *words.subject(subject)]
    if tags:
        pieces.append(words.tags(tags))
    if links:
        pieces += words.link_words(links)
    return " ".join(pieces)[:TEXT_LIMIT]


def _subject_numbers(subject: str) -> tuple[float, ...]:
    ascii_only = subject.encode("ascii", "ignore")
    large = _count(ascii_only, _LARGE)
    marks = _count(ascii_only, b"!?$*%")
    return float(len(subject)), _share(large, large + _count(ascii_only, _SMALL)), float(marks)


def _shown_numbers(body: str, shown: str) -> tuple[float, ...]:
    length = len(body)
    ascii_only = body.encode("ascii", "ignore")
    large = _count(ascii_only, _LARGE)
    currency = ascii_only.count(b"$")
    if len(ascii_only) < length:
        currency += sum(map(body.count, "\u20ac\u00a3\u00a5"))
    return (
        float(length),
        *_word_numbers(shown),
        float(ascii_only.count(b"\n") + 1),
        float(ascii_only.count(b"\n>") + ascii_only.startswith(b">")),
        _share(large, large + _count(ascii_only, _SMALL)),
        float(words.capitals(ascii_only)),
        _share(_count(ascii_only, _DIGITS), length),
        _share(_count(ascii_only, _SYMBOLS), length),
        float(ascii_only.count(b"!")),
        float(currency),
        _share(length - len(ascii_only), length),
    )


def _word_numbers(shown: str) -> tuple[float, ...]:
    split = shown.split()
    if not split:
        return 0.0, 0.0, 0.0
    lengths = list(map(len, split))
    return float(len(split)), sum(lengths) / len(split), float(max(lengths))


def _link_numbers(lowered: str, links: list[str]) -> tuple[float, ...]:
    addresses = float(lowered.count("@"))
    if not links:
        return 0.0, 0.0, 0.0, addresses
    hosts = [words.host(link) for link in links]
    bare = sum([words.is_ipv4(host) for host in hosts])
    return float(len(links)), float(len(set(hosts))), float(bare), addresses


def _markup_numbers(mail: mime.Mail, marked: list[markup.Markup], tags: str) -> tuple[float, ...]:
    parts, attachments = float(mail.parts), float(mail.attachments)
    if not marked:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, parts, attachments
    source = sum(map(len, mail.html))
    return (
        _share(source, source + sum(map(len, mail.plain))),
        1.0 - _share(sum([len(part.shown) for part in marked]), source),
        float(tags.count("<")),
        float(tags.count("<img")),
        float(tags.count("<input") + tags.count("<select") + tags.count("<textarea")),
        float(sum([part.comments for part in marked])),
        parts,
        attachments,
    )


def _count(text: bytes, counted: bytes) -> int:
    return len(text) - len(text.translate(None, counted))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
