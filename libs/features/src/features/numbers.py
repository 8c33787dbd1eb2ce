"""Numbers that each need one function: what a mail promises, hides, and where it leads.

To drop a number, delete its function and its line in the tests. To add one, write a function with `@_number`. Each is
finite, at least 0, and costs about a microsecond.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

from features.greetings import greets_anyone
from features.seen import Seen

Number = Callable[[Seen], float]

NUMBERS: dict[str, Number] = {}
"""Functions by name, in the order of the values."""
DESCRIPTIONS: dict[str, str] = {}
"""What each number says, with its unit."""

_YOU_WORDS = 200
"""Words at the beginning of the text among which forms of you are counted."""
_YOU = frozenset(
    [
        *("you", "your", "yours", "yourself", "u", "ur"),
        *("sie", "ihr", "ihre", "ihren", "ihrem", "ihrer", "ihres", "ihnen"),
        *("du", "dich", "dir", "dein", "deine", "deinen", "deinem", "deiner"),
        *("vous", "votre", "vos", "toi", "tes"),
        *("usted", "ustedes", "su", "sus", "tu", "tus", "te", "ti"),
    ]
)
_CURRENCIES = frozenset(
    [
        *("eur", "euro", "euros", "usd", "dollar", "dollars", "pounds", "gbp"),
        *("million", "millions", "millionen", "millones", "billion"),
    ]
)
_SIGNS = "$\u20ac\u00a3\u00a5"


def values(seen: Seen) -> list[float]:
    """Return the numbers of one mail in the order of `NUMBERS`."""
    return [function(seen) for function in NUMBERS.values()]


def _number(name: str, description: str) -> Callable[[Number], Number]:
    def register(function: Number) -> Number:
        NUMBERS[name], DESCRIPTIONS[name] = function, description
        return function

    return register


@_number("hidden_words", "words of the HTML source that a reader does not see, comments and scripts excepted")
def _hidden_words(seen: Seen) -> float:
    return float(sum([part.hidden for part in seen.marked]))


@_number("longest_link", "characters of the longest link without its scheme")
def _longest_link(seen: Seen) -> float:
    return float(max([len(link.address) for link in seen.links])) if seen.links else 0.0


@_number("you_share", "share of the first 200 words that say you (English, German, French, Spanish), 0 to 1")
def _you_share(seen: Seen) -> float:
    first = seen.split[:_YOU_WORDS]
    return sum(map(_YOU.__contains__, first)) / len(first) if first else 0.0


@_number("longest_plain_line", "characters of the longest line of plain text")
def _longest_plain_line(seen: Seen) -> float:
    return float(max(map(len, seen.plain.split("\n"))))


@_number("host_digits", "digits in the different hosts of links, IP addresses excepted")
def _host_digits(seen: Seen) -> float:
    names = "".join(seen.names).encode()
    return float(len(names) - len(names.translate(None, b"0123456789")))


@_number("odd_links", "different links with an IP address, a user or a port")
def _odd_links(seen: Seen) -> float:
    return float(sum([link.is_odd for link in seen.links]))


@_number("money_amounts", "amounts of money in the text, as digits beside a currency or a million")
def _money_amounts(seen: Seen) -> float:
    lowered = seen.lowered
    signs = "$" if lowered.isascii() else _SIGNS
    found = sum([_beside(lowered.split(sign)) for sign in signs if sign in lowered])
    named = seen.different.keys() & _CURRENCIES
    return float(found + sum([_after(seen.shown.split(f" {word} ")) for word in named]))


def _beside(pieces: list[str]) -> int:
    """Return how many of the signs between pieces have a digit before or after them, at most one blank away."""
    return sum(
        [
            after[:2].lstrip(" ")[:1].isdecimal() or before[-2:].rstrip(" ")[-1:].isdecimal()
            for before, after in pairwise(pieces)
        ]
    )


def _after(pieces: list[str]) -> int:
    """Return how many of the words between pieces follow a digit."""
    return sum([before[-1:].isdecimal() for before in pieces[:-1]])


@_number("subject_share", "share of the subject's different words that are in the text too, 0 to 1")
def _subject_share(seen: Seen) -> float:
    subject, different = set(seen.subject), seen.different
    return sum([word in different for word in subject]) / len(subject) if subject else 0.0


@_number("generic_greeting", "1 if the text begins with a greeting to anyone or to a mail address, else 0")
def _generic_greeting(seen: Seen) -> float:
    return float(greets_anyone(seen.lowered, seen.different))


@_number("host_entropy", "bits of one character in the longest label of the hosts of links, mean")
def _host_entropy(seen: Seen) -> float:
    return _entropy(max(".".join(seen.names).split("."), key=len)) if seen.names else 0.0


@lru_cache(maxsize=4096)
def _entropy(label: str) -> float:
    """Return the Shannon entropy of a label's characters, in bits a character."""
    shares = [label.count(each) / len(label) for each in sorted(set(label))]
    return max(0.0, -sum([share * math.log2(share) for share in shares]))
