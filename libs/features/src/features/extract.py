"""Feature extraction: one mail as the text and the named numbers that the model sees."""

from typing import NamedTuple

from features import numbers, words
from features.seen import Seen, see

SCHEMA_VERSION = "2"
"""Version of the features. It changes whenever one mail's text or numbers do; a model serves only its own version."""

WORD_LIMIT = 10_000
"""Most different words of one mail that the model sees; only hostile mail comes near it."""

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
    "capital_words": "words of three letters or numbers in capitals",
    "digits_share": "share of the text's characters that are digits, 0 to 1",
    "symbols_share": "share of the text's characters that are punctuation or symbols of ASCII, 0 to 1",
    "exclamation_marks": "exclamation marks in the text",
    "currency_signs": "currency signs ($, euro, pound, yen) in the text",
    "non_ascii_share": "share of the text's characters outside ASCII, 0 to 1",
    "links": "different links (http, https, www.) in text and markup",
    "link_hosts": "different hosts of links",
    "ip_links": "links to a bare IP address instead of a name",
    "mail_addresses": "at signs in the text, as in mail addresses",
    "html_share": "share of the mail's text that came as HTML, 0 to 1",
    "markup_share": "share of the HTML source that a reader does not see, 0 to 1",
    "tags": "opening HTML tags",
    "images": "HTML images",
    "form_fields": "HTML form fields",
    "html_comments": "HTML comments",
    "parts": "MIME parts that are no containers",
    "attachments": "MIME parts that are no text or are marked as attachments",
    **numbers.DESCRIPTIONS,
}
NAMES: tuple[str, ...] = tuple(DESCRIPTIONS)

_EXCLAMATION_MARKS = "!\uff01\ufe57\u2757\u2755\u203c"
_CURRENCY_SIGNS = "$\u20ac\u00a3\u00a5"


class Features(NamedTuple):
    """Features of one mail."""

    text: str
    """Different words of the mail in order of appearance, separated by white space.

    Each word occurs once: the model asks only whether a word is there, and two services pass this text on.
    """
    values: tuple[float, ...]
    """Finite numbers, none below 0, in the order of `NAMES`; units in `DESCRIPTIONS`."""


def extract(email: str | bytes) -> Features:
    """Return the features of a mail, in time linear in its length; no content raises an error.

    Args:
        email: Plain text or a whole RFC 5322 message: its bytes, its bytes decoded as Latin-1, or its text.
    """
    seen = see(email)
    values = (
        *_subject_numbers(seen.mail.subject),
        float(len(seen.body)),
        *_word_numbers(seen),
        *_character_numbers(seen.body),
        *_link_numbers(seen),
        *_markup_numbers(seen),
        *numbers.values(seen),
    )
    others = [*words.of_subject(seen.subject), *words.of_hosts(seen.names, seen.addresses)]
    different = seen.different | dict.fromkeys(others)
    return Features(" ".join(list(different)[:WORD_LIMIT]), values)


def _subject_numbers(subject: str) -> tuple[float, ...]:
    kinds = words.kinds(subject)
    large = kinds.count(b"A")
    marks = sum(map(subject.count, "!?$*%"))
    return float(len(subject)), _share(large, large + kinds.count(b"a")), float(marks)


def _word_numbers(seen: Seen) -> tuple[float, ...]:
    if not seen.split:
        return 0.0, 0.0, 0.0
    letters = len(seen.shown) - seen.shown.count(" ")
    return float(len(seen.split)), letters / len(seen.split), float(max(map(len, seen.different)))


def _character_numbers(body: str) -> tuple[float, ...]:
    length = len(body)
    kinds = words.kinds(body)
    large = kinds.count(b"A")
    plain = len(kinds) == length
    return (
        float(body.count("\n") + 1),
        float(body.count("\n>") + body.startswith(">")),
        _share(large, large + kinds.count(b"a")),
        float(kinds.count(b" AAA") + kinds.count(b".AAA") + kinds.startswith(b"AAA")),
        _share(kinds.count(b"0"), length),
        _share(kinds.count(b"."), length),
        float(body.count("!") if plain else sum(map(body.count, _EXCLAMATION_MARKS))),
        float(body.count("$") if plain else sum(map(body.count, _CURRENCY_SIGNS))),
        _share(length - len(kinds), length),
    )


def _link_numbers(seen: Seen) -> tuple[float, ...]:
    bare = sum([link.is_address for link in seen.links])
    hosts = len(seen.names) + len(seen.addresses)
    return float(len(seen.links)), float(hosts), float(bare), float(seen.lowered.count("@"))


def _markup_numbers(seen: Seen) -> tuple[float, ...]:
    mail, marked = seen.mail, seen.marked
    parts, attachments = float(mail.parts), float(mail.attachments)
    if not marked:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, parts, attachments
    source = sum(map(len, mail.html))
    return (
        _share(source, source + sum(map(len, mail.plain))),
        max(0.0, 1.0 - _share(sum([len(part.shown) for part in marked]), source)),
        float(sum([part.tags for part in marked])),
        float(sum([part.images for part in marked])),
        float(sum([part.form_fields for part in marked])),
        float(sum([part.comments for part in marked])),
        parts,
        attachments,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
