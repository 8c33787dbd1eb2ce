"""HTML as a reader sees it: shown text on one side, what is hidden and what is linked on the other.

Parsing takes time linear in the input, whatever it holds.
"""

import html
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache

from features import tags
from features.sight import BREAK, looks_for
from features.viewing import named, view

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});?")
_SHOWN_RAW = ("textarea", "xmp", "plaintext")
_FORM_FIELDS = ("input", "select", "textarea")
_LINKING = ("href", "src", "action", "formaction", "background", "cite", "data", "poster", "longdesc")
_LINKING_OF = {
    **dict.fromkeys(("b", "br", "center", "div", "font", "h1", "h2", "h3", "hr", "i", "li", "p", "span", "ul"), ()),
    **dict.fromkeys(("body", "table", "tbody", "td", "th", "tr"), ("background",)),
    "a": ("href",),
    "img": ("src", "longdesc"),
}
"""Attributes that name an address by common element; others may have any of `_LINKING`."""
_SWALLOWING = re.compile(r"<(?:style|script|title|textarea|xmp|iframe|noembed|noframes|noscript|plaintext)\b", re.I)
SWALLOWED_WORDS = 20
"""Words that an element without an end may swallow before they are read all the same."""


@dataclass(slots=True)
class Markup:
    """HTML source split into what a reader sees and what it is made of."""

    shown: str
    """Text that a reader sees, entities resolved; block elements and line breaks begin lines, and none is empty."""
    hidden: int
    """Words of the source that are no markup and that a reader does not see, comments and scripts excepted."""
    links: list[str]
    """Values of attributes that name an address, such as `href`, as written with entities resolved.

    A tag that is written twice gives its links once.
    """
    tags: int
    """Opening tags."""
    images: int
    form_fields: int
    comments: int


def parse(source: str) -> Markup:
    """Split HTML into what a reader sees and what it is made of; any text is accepted and none raises an error.

    An element without an end can swallow the whole mail in a browser, and nothing of it in a mail reader that mends
    HTML. Where it would swallow more than `SWALLOWED_WORDS` words and most of the mail, they count as seen too.
    """
    source = source.replace("\0", "") if "\0" in source else source
    tokens = tags.read(source)
    found = _markup(tokens)
    swallowed = "".join(tokens.unclosed)
    if len(swallowed.split()) <= max(SWALLOWED_WORDS, len(found.shown.split())):
        return found
    rest = _markup(tags.read(_SWALLOWING.sub("<x", swallowed.replace("<!--", " "))))
    shown = "\n".join(filter(None, [found.shown, rest.shown]))
    return replace(found, shown=shown, links=[*found.links, *rest.links])


def _markup(tokens: tags.Tokens) -> Markup:
    _show_raw(tokens)
    sheets = [content for at, content in tokens.raw.items() if tokens.tags[at].name == "style"]
    counts = Counter(tokens.tags)
    shown, hidden = view(tokens, looks_for(sheets), counts)
    names = named(counts)
    return Markup(
        shown=_lines(_resolve("".join(shown))),
        hidden=sum([len(_resolve(text).split()) for text in [*hidden, *tokens.unclosed]]),
        links=[link for tag in counts if tag.attributes and tag.name[0] != "/" for link in _links(tag)],
        tags=sum([count for name, count in names.items() if name and name[0] != "/"]),
        images=names["img"] + names["image"],
        form_fields=sum([names[name] for name in _FORM_FIELDS]),
        comments=tokens.comments,
    )


def _show_raw(tokens: tags.Tokens) -> None:
    """Give the text of elements that show their source back to their tags."""
    for at, content in tokens.raw.items():
        if tokens.tags[at].name in _SHOWN_RAW:
            resolved = tokens.tags[at].name == "textarea"
            tokens.texts[at] = content if resolved else content.replace("&", "&amp;")


def _lines(text: str) -> str:
    """Return text with white space collapsed, as a browser does it, and without empty lines."""
    return "\n".join([" ".join(line.split()) for line in text.split(BREAK) if line and not line.isspace()])


def _links(tag: tags.Tag) -> list[str]:
    return _kept_links(tag) if len(tag.attributes) <= tags.KNOWN_LENGTH else _links_of(tag)


def _links_of(tag: tags.Tag) -> list[str]:
    names, lowered = _LINKING_OF.get(tag.name, _LINKING), tag.attributes.lower()
    return [_resolve(value) for name in names if (value := tags.attribute(tag.attributes, name, lowered))]


_kept_links = lru_cache(maxsize=tags.KNOWN_LIMIT)(_links_of)


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
