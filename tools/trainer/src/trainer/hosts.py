"""Made-up links: of services that people use, and of the odd hosts that spam points to.

Both kinds of host overlap on purpose. Spam comes through mailing services and compromised sites too, and a small
honest shop has an odd domain. A model that learned one kind of host alone would be wrong about both.
"""

import base64
import random
import string

from trainer.vocabulary import BEGINNINGS, ENDINGS, HOSTS, Vocabulary

OVERLAP = 0.25
"""Share of each kind of link that is made like the other kind."""


def name(chosen: random.Random) -> str:
    """Return a made-up name of two or three syllables, in small letters."""
    middle = chosen.choice(BEGINNINGS) if chosen.random() < 0.4 else ""
    return chosen.choice(BEGINNINGS) + middle + chosen.choice(ENDINGS)


def usual(chosen: random.Random, words: Vocabulary) -> str:
    """Return a host as services have them, with the subdomains that their mail links to."""
    if chosen.random() < 0.3:
        return _filled(chosen.choice(HOSTS["shared"]), chosen)
    domain = f"{name(chosen)}.{chosen.choice(words.domains)}"
    prefix = chosen.choice((*HOSTS["tracking"], *HOSTS["sites"], ""))
    middle = f"{chosen.choice(('mail', 'e', 'news', 'marketing'))}." if chosen.random() < 0.1 else ""
    return f"{prefix}.{middle}{domain}" if prefix else domain


def odd(chosen: random.Random, words: Vocabulary) -> str:
    """Return a host as spam links to: cheap or lookalike domain, address, shortener, or a small site broken into."""
    kinds = (_cheap, _cheap, _lookalike, _lookalike, _digits, _address, _shortener, _long, _shared)
    if chosen.random() < 0.2:
        return f"{name(chosen)}.{chosen.choice(words.domains)}"
    return chosen.choice(kinds)(chosen)


def _cheap(chosen: random.Random) -> str:
    first = chosen.choice(
        (name(chosen), chosen.choice(HOSTS["bait"]) + chosen.choice(HOSTS["bait"]), _letters(chosen, 5, 12))
    )
    return f"{first}.{chosen.choice(HOSTS['cheap'])}"


def _lookalike(chosen: random.Random) -> str:
    letter, double = chosen.choice(("o0", "l1", "e3", "i1"))
    brand, bait = name(chosen), chosen.choice(HOSTS["bait"])
    brand = brand.replace(letter, double) if chosen.random() < 0.4 else brand
    domain = chosen.choice((f"{brand}-{bait}", f"{bait}-{brand}", f"{brand}.com-{_letters(chosen, 3, 6)}"))
    return f"{domain}.{chosen.choice((*HOSTS['cheap'], 'com', 'com', 'net'))}"


def _digits(chosen: random.Random) -> str:
    return f"{_letters(chosen, 2, 6)}{chosen.randrange(10, 99999)}.{chosen.choice((*HOSTS['cheap'], 'com', 'net'))}"


def _address(chosen: random.Random) -> str:
    port = chosen.choice(("", "", ":8080", ":81"))
    return ".".join(str(chosen.randrange(1, 254)) for _ in range(4)) + port


def _shortener(chosen: random.Random) -> str:
    return chosen.choice(HOSTS["shorteners"])


def _long(chosen: random.Random) -> str:
    labels = [
        chosen.choice((chosen.choice(HOSTS["bait"]), _letters(chosen, 8, 24))) for _ in range(chosen.randrange(2, 5))
    ]
    return ".".join([*labels, f"{name(chosen)}.{chosen.choice((*HOSTS['cheap'], 'com'))}"])


def _shared(chosen: random.Random) -> str:
    return _filled(chosen.choice(HOSTS["shared"]), chosen)


def link(chosen: random.Random, host: str, *, bad: bool) -> str:
    """Return a link to a host, with a path and query as mail of its kind has them."""
    path = _filled(chosen.choice(HOSTS["odd_paths"] if bad != (chosen.random() < OVERLAP) else HOSTS["paths"]), chosen)
    plain = 0.35 if bad else 0.05
    return f"http{'' if chosen.random() < plain else 's'}://{host}{path}"


def of_kind(chosen: random.Random, words: Vocabulary, *, bad: bool) -> str:
    """Return a host of a ham's or a spam's link; a share `OVERLAP` is of the other kind."""
    return (odd if bad != (chosen.random() < OVERLAP) else usual)(chosen, words)


def _filled(pattern: str, chosen: random.Random) -> str:
    if "{" not in pattern:
        return pattern
    return pattern.format(
        n=chosen.randrange(10_000, 99_999_999),
        d=chosen.randrange(1, 30),
        a=_letters(chosen, 6, 14),
        b=base64.urlsafe_b64encode(chosen.randbytes(chosen.randrange(12, 90))).decode().rstrip("="),
        name=name(chosen),
    )


def _letters(chosen: random.Random, shortest: int, longest: int) -> str:
    return "".join(chosen.choices(string.ascii_lowercase + string.digits, k=chosen.randint(shortest, longest)))
