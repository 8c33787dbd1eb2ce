"""Text as its reader sees it: no invisible characters, and plain letters for the many that only look different.

The characters of a word are chosen by its sender: a zero-width space inside it, or bold letters of mathematics, leave
what a reader sees and change what a program sees. Text in ASCII is returned as it is.
"""

import re
import unicodedata
from functools import lru_cache

REPLACED_LIMIT = 16
"""Most different characters that are replaced one by one; for more, one pass over the text is faster."""

_ASCII = bytes(range(128))
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u0334-\u0338\u0488\u0489\u20d0-\u20f0]"
)
"""Default ignorable characters (Unicode, `DerivedCoreProperties`), and marks that strike a letter out or frame it."""
_SAME_LETTERS = ("<font>", "<wide>")
_SAME_IF_ASCII = ("<circle>", "<square>", "<super>", "<sub>", "<compat>")
_FRAMED = ((0x1F150, 26), (0x1F170, 26))
"""Letters A to Z in black circles and squares, for which Unicode names no plain letter: first one and number."""
_ACCENTS = frozenset(map(chr, range(0x300, 0x370)))
_ACCENTED = re.compile("[A-Za-z\u00c0-\u024f\u0391-\u03c9\u0410-\u044f][\u0300-\u036f]{1,4}")


def readable(text: str) -> str:
    """Return text as a reader sees it, in time linear in its length.

    Invisible characters are gone. Letters of mathematics, fullwidth, enclosed, raised and lowered letters and ligatures
    become plain ones (NFKC), blanks of any width become a blank, letters and their accents become one character (NFC).
    Halfwidth katakana, signs such as \u2122 and \u3231, fractions, and the letters of Latin-1 stay.
    """
    if text.isascii():
        return text
    rare = set(text.encode("utf-8", "replace").translate(None, _ASCII).decode("utf-8"))
    changed = {character: plain for character in rare if (plain := _plain(character)) != character}
    if len(changed) > REPLACED_LIMIT:
        text = text.translate({ord(character): plain for character, plain in changed.items()})
    else:
        for character, plain in changed.items():
            text = text.replace(character, plain)
    return text if rare.isdisjoint(_ACCENTS) else _ACCENTED.sub(_composed, text)


@lru_cache(maxsize=8192)
def _plain(character: str) -> str:
    """Return what a character looks like, in plain characters, "" if like nothing."""
    if _INVISIBLE.match(character):
        return ""
    if character in "\u2028\u2029":
        return "\n"
    if character == "\u2800" or unicodedata.category(character) == "Zs":
        return " "
    for first, number in _FRAMED:
        if first <= ord(character) < first + number:
            return chr(ord("A") + ord(character) - first)
    return _compatible(character)


def _compatible(character: str) -> str:
    mark = unicodedata.decomposition(character).partition(" ")[0]
    if not mark or character < "\u0100":
        return character
    plain = unicodedata.normalize("NFKC", character)
    if mark in _SAME_LETTERS or not mark.startswith("<"):
        return plain
    letters = plain.strip("()") if len(plain) == 3 else plain
    same = mark in _SAME_IF_ASCII and letters.isascii() and letters.isalnum() and character != "\u2122"
    return letters if same else character


def _composed(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", found[0])
