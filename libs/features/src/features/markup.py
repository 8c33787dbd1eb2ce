"""HTML as a reader sees it: shown text on one side, tags on the other.

Parsing takes time linear in the input, whatever it holds.
"""

import html
import re
from dataclasses import dataclass
from functools import lru_cache

# An element that is never closed extends to the end, as in a browser. Without that branch each of n openings would be
# searched to the end. The quantifiers are possessive for the same reason: nothing backtracks.
_COMMENT = re.compile(r"<!--(?>.*?-->|.*+)", re.DOTALL)
_CODE = re.compile(r"<(style|script)\b[^<>]*+>(?>.*?</\1[^<>]*+>|.*+)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<(?:/[^<>]*+|([a-zA-Z!?][^<>]*+))>")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});?")


@dataclass(slots=True)
class Markup:
    """HTML text split into shown text and tags."""

    shown: str
    """Text that a reader sees, with entities resolved."""
    tags: str
    """Opening tags as written, without `>`. Each begins with `<` and contains no other."""
    comments: int


def parse(source: str) -> Markup:
    """Split HTML into shown text and tags; any text is accepted and none raises an error."""
    comments = 0
    if "<!--" in source:
        source, comments = _COMMENT.subn("", source)
    source = _CODE.sub(" ", source)
    pieces = _TAG.split(source)
    opening = [f"<{tag}" for tag in pieces[1::2] if tag]
    return Markup(_resolve(" ".join(pieces[::2])), "\n".join(opening), comments)


def _resolve(text: str) -> str:
    if "&" not in text:
        return text
    return _ENTITY.sub(_entity, text.replace("&nbsp;", " "))


def _entity(found: re.Match[str]) -> str:
    return _character(found[0])


@lru_cache(maxsize=1024)
def _character(entity: str) -> str:
    """Return the character of an entity; a surrogate or NUL becomes U+FFFD (HTML standard, 13.2.5.80)."""
    return html.unescape(entity)
