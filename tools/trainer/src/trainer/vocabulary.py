"""Vocabulary of made-up details in English, German, French and Spanish."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words of one language that details are made of; patterns have named fields of `str.format`."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    cities: tuple[str, ...]
    streets: tuple[str, ...]
    countries: tuple[str, ...]
    products: tuple[str, ...]
    months: tuple[str, ...]
    weekdays: tuple[str, ...]
    dates: tuple[str, ...]
    """Patterns of a date with the fields day, month, name and year."""
    money: tuple[str, ...]
    """Patterns of an amount with the field value."""
    decimal: str
    thousands: str
    company_forms: tuple[str, ...]
    banks: tuple[str, ...]
    """Patterns of a bank's name with the field name."""
    shops: tuple[str, ...]
    phones: tuple[str, ...]
    """Patterns of a telephone number; # is a digit."""
    domains: tuple[str, ...]
    """Top-level domains of the language's sites, the commonest repeated."""


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}


FILE = Path(__file__).with_suffix(".toml")
_TABLES = _tuples(tomllib.loads(FILE.read_text(encoding="utf-8")))
HOSTS: dict[str, tuple[str, ...]] = _tuples(_TABLES.pop("hosts"))
"""Parts of made-up links."""
LANGUAGES = {name: Vocabulary(**_tuples(table)) for name, table in _TABLES.items() if isinstance(table, dict)}
"""Vocabularies of the languages that templates are written in, by ISO 639 code."""
COINS: tuple[str, ...] = _TABLES["coins"]
BEGINNINGS: tuple[str, ...] = _TABLES["beginnings"]
ENDINGS: tuple[str, ...] = _TABLES["endings"]
"""Last syllables of made-up names of firms, which begin with one or two of `BEGINNINGS`: Solvia, Norfield."""
PROJECT_WORDS: tuple[str, ...] = _TABLES["project_words"]
BRANCH_WORDS: tuple[str, ...] = _TABLES["branch_words"]
