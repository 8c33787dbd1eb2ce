"""HTML as a reader sees it: shown text on one side, what is hidden and what is linked on the other.

Parsing takes time linear in the input, whatever it holds.
"""

import html
import re
from dataclasses import dataclass
from functools import lru_cache

from features import css, tags
from features.sight import BREAK, Looks
from features.viewing import view

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});?")
_SHOWN_RAW = ("textarea", "xmp", "plaintext")
_FORM_FIELDS = ("input", "select", "textarea")
_LINKING = ("href", "src", "action", "formaction", "background", "cite", "data", "poster", "longdesc")


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
    """Split HTML into what a reader sees and what it is made of; any text is accepted and none raises an error."""
    tokens = tags.read(source.replace("\0", "") if "\0" in source else source)
    _show_raw(tokens)
    sheets = [content for at, content in tokens.raw.items() if tokens.tags[at].name == "style"]
    shown, hidden = view(tokens, Looks(css.sheet(sheets)))
    names = [tag.name for tag in tokens.tags]
    count = names.count
    return Markup(
        shown=_lines(_resolve("".join(shown))),
        hidden=sum(len(_resolve(text).split()) for text in [*hidden, *tokens.unclosed]),
        links=_links(tokens),
        tags=len(names) - count("") - sum([name[:1] == "/" for name in names]),
        images=count("img") + count("image"),
        form_fields=sum(map(count, _FORM_FIELDS)),
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
    lines = [" ".join(line.split()) for line in text.split(BREAK)]
    return "\n".join([line for line in lines if line])


def _links(tokens: tags.Tokens) -> list[str]:
    found: list[str] = []
    for tag in tokens.different:
        lowered = tag.attributes.lower()
        for name in _LINKING:
            if name in lowered and (value := tags.attribute(tag.attributes, name)):
                found.append(_resolve(value))
    return found


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
