"""Details of filled templates: made-up people, firms, amounts, dates and links in the template's language."""

import random
import string
import unicodedata
from collections.abc import Callable

from trainer import hosts, vocabulary


class Details:
    """Details of one mail, drawn when first used.

    A name, an order number or a date that a mail repeats is the same each time. What mails list, such as products and
    prices, differs each time.
    """

    def __init__(self, chosen: random.Random, language: str) -> None:
        self._chosen = chosen
        self.language = language
        self.words = vocabulary.LANGUAGES[language]
        self._kept: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """Return the value of a placeholder, one of `NAMES`."""
        if name in _LISTED:
            return _MAKERS[name](self)
        if name not in self._kept:
            self._kept[name] = _MAKERS[name](self)
        return self._kept[name]

    def one(self, values: tuple[str, ...]) -> str:
        """Return one of the values."""
        return self._chosen.choice(values)

    def digits(self, pattern: str) -> str:
        """Return a pattern with a digit for each # and a capital letter for each @."""
        draw = {"#": string.digits, "@": string.ascii_uppercase}
        return "".join(self._chosen.choice(draw[each]) if each in draw else each for each in pattern)

    def whole(self, low: int, high: int) -> int:
        """Return a whole number of low to high."""
        return self._chosen.randint(low, high)

    def money(self, low: float, high: float) -> str:
        """Return an amount of low to high with its currency, drawn on a logarithmic scale."""
        value = round(low * (high / low) ** self._chosen.random(), 2)
        written = f"{value:,.2f}" if self._chosen.random() < 0.8 else f"{value:,.0f}"
        marks = str.maketrans({",": self.words.thousands, ".": self.words.decimal})
        if "money" not in self._kept:
            self._kept["money"] = self.one(self.words.money)
        return self._kept["money"].format(value=written.translate(marks))

    def name(self) -> str:
        """Return a made-up name of a firm."""
        return hosts.name(self._chosen).capitalize()

    def link(self, *, bad: bool) -> str:
        """Return a link to the mail's host of that kind."""
        key = "bad host" if bad else "host"
        if key not in self._kept:
            self._kept[key] = hosts.of_kind(self._chosen, self.words, bad=bad)
        return hosts.link(self._chosen, self._kept[key], bad=bad)


def _date(of: Details) -> str:
    month = of.whole(1, 12)
    name = of.words.months[month - 1]
    return of.one(of.words.dates).format(day=of.whole(1, 28), month=month, name=name, year=of.whole(2015, 2026))


def _time(of: Details) -> str:
    hour, minute = of.whole(0, 23), of.one(("00", "15", "30", "45", f"{of.whole(0, 59):02}"))
    half = f"{hour % 12 or 12}:{minute} {'AM' if hour < 12 else 'PM'}"
    return half if of.language == "en" and of.whole(0, 1) else f"{hour:02}:{minute}"


def _email(of: Details) -> str:
    person = of.one(("{0}.{1}", "{0}", "{0}{1}", "info", "support", "billing", "hello", "noreply"))
    local = unicodedata.normalize("NFKD", person.format(of("first"), of("last")).lower())
    return local.encode("ascii", "ignore").decode() + "@" + of("host").removeprefix("www.")


def _street(of: Details) -> str:
    street, number = of.one(of.words.streets), of.whole(1, 240)
    before = of.language in ("en", "fr")
    return f"{number} {street}" if before else f"{street} {number}"


def _wallet(of: Details) -> str:
    alphabet = string.ascii_lowercase + string.digits
    if of.whole(0, 2):
        return of.one(("bc1q", "1", "3")) + "".join(of.one(tuple(alphabet)) for _ in range(of.whole(30, 38)))
    return "0x" + "".join(of.one(tuple("0123456789abcdef")) for _ in range(40))


_ORDERS = ("#######", "###-#######-#######", "@@-#####", "#####", "R#########", "@@@#######", "20##-#####")
_TRACKINGS = (
    "1Z###@##########",
    "JD0146########",
    "############",
    "@@#########@@",
    "00340434##########",
    "@##########",
)
_CODES = ("######", "######", "####", "###-###", "@-######", "@@@@-####", "########")

_MAKERS: dict[str, Callable[[Details], str]] = {
    "first": lambda of: of.one(of.words.first),
    "last": lambda of: of.one(of.words.last),
    "company": lambda of: of.name() + of.one(of.words.company_forms),
    "shop": lambda of: of.one(of.words.shops).format(name=of.name()),
    "product": lambda of: of.one(of.words.products),
    "amount": lambda of: of.money(20, 20_000),
    "price": lambda of: of.money(3, 400),
    "date": _date,
    "weekday": lambda of: of.one(of.words.weekdays),
    "time": _time,
    "month": lambda of: of.one(of.words.months),
    "order": lambda of: of.digits(of.one(_ORDERS)),
    "tracking": lambda of: of.digits(of.one(_TRACKINGS)),
    "code": lambda of: of.digits(of.one(_CODES)),
    "city": lambda of: of.one(of.words.cities),
    "street": _street,
    "country": lambda of: of.one(of.words.countries),
    "phone": lambda of: of.digits(of.one(of.words.phones)),
    "email": _email,
    "link": lambda of: of.link(bad=False),
    "badlink": lambda of: of.link(bad=True),
    "host": lambda of: f"{of.name().lower()}.{of.one(of.words.domains)}",
    "number": lambda of: str(of.whole(2, of.whole(3, 500))),
    "percent": lambda of: f"{of.whole(1, 19) * 5}" if of.whole(0, 1) else str(of.whole(1, 99)),
    "project": lambda of: f"{of.one(vocabulary.PROJECT_WORDS)}-{of.one(vocabulary.PROJECT_WORDS)}",
    "branch": lambda of: f"{of.one(('fix', 'feature', 'chore', 'bugfix'))}/{of.one(vocabulary.BRANCH_WORDS)}",
    "ticket": lambda of: of.digits("@@@-") + str(of.whole(2, 9999)),
    "airline": lambda of: of.one(("Air {}", "{} Airways", "{} Air", "Fly{}", "{} Airlines")).format(of.name()),
    "bank": lambda of: of.one(of.words.banks).format(name=of.name()),
    "coin": lambda of: of.one(vocabulary.COINS),
    "wallet": _wallet,
}
NAMES: tuple[str, ...] = tuple(_MAKERS)
_LISTED = frozenset({"product", "price", "number", "percent", "link", "badlink", "time"})
"""Placeholders whose every use has a value of its own."""
