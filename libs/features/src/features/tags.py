"""HTML tokens: the tags and the text of a source, by the tokenizer of the HTML standard (13.2.5).

The scan steps from `<` to `<` and takes time linear in the source, whatever it holds.
"""

import re
from dataclasses import dataclass, field

RAW_TEXT = ("style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "noscript", "plaintext")
"""Elements whose content holds no tags. A browser that runs scripts reads `noscript` as one."""

_SPACE = r"[\t\n\f\r ]"
_ATTRIBUTE = re.compile(
    rf"([^\t\n\f\r />][^\t\n\f\r />=]*+)(?:{_SPACE}*+={_SPACE}*+"
    rf"(?:\"([^\"]*+)(?:\"|\Z)|'([^']*+)(?:'|\Z)|([^\t\n\f\r >\"'][^\t\n\f\r >]*+)|))?"
)
_BEFORE_NAME = "\t\n\f\r /\"'"
_AFTER_NAME = ("", "=", "\t", "\n", "\f", "\r", " ", "/")
_BLANK = re.compile(r"[\t\n\f\r /]*+")
_NAME = re.compile(r"/?[a-zA-Z][^\t\n\f\r />]*+")
_COMMENT_END = re.compile(r"--!?>")
_RAW_ENDS = {name: re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE) for name in RAW_TEXT}

_COMMON = (
    "a abbr address article aside b big blockquote body br button caption center cite code col dd div dl dt em figure "
    "font footer form h1 h2 h3 h4 h5 h6 head header hr html i img input label li link main meta nav o:p ol option p "
    "pre s section select small span strike strong sub sup table tbody td tfoot th thead tr tt u ul"
)
_WRITTEN = {
    end + written + slash: end + name
    for name in _COMMON.split()
    for written in (name, name.upper())
    for end, slash in (("", ""), ("", "/"), ("/", ""))
}
"""Names of common tags by the way they are written."""


@dataclass(slots=True, eq=False)
class Tag:
    """A tag, shared by all that are written alike."""

    name: str
    """Name in small letters. A closing tag's begins with `/`; text that follows no tag has an empty one."""
    attributes: str = ""
    """Attributes as written."""


NO_TAG = Tag("")
_BARE = {written: Tag(name) for written, name in _WRITTEN.items()}


@dataclass(slots=True)
class Tokens:
    """Tags of a source in order, each with the text that follows it."""

    tags: list[Tag] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """Text up to the next tag as written, entities included."""
    different: list[Tag] = field(default_factory=list)
    """Tags that have attributes, each way of writing once."""
    raw: dict[int, str] = field(default_factory=dict)
    """Content of raw-text elements by the index of their tag."""
    comments: int = 0
    unclosed: list[str] = field(default_factory=list)
    """Text that a browser swallows because a comment, a tag or a raw-text element never ends."""

    def add(self, tag: Tag, text: str = "") -> None:
        """Add a tag and the text that follows it."""
        self.tags.append(tag)
        self.texts.append(text)


def read(source: str) -> Tokens:
    """Return the tokens of a source; any text is accepted and none raises an error."""
    tokens = Tokens()
    chunks = source.split("<")
    tokens.add(NO_TAG, chunks[0])
    add_tag, add_text, bare = tokens.tags.append, tokens.texts.append, _BARE.get
    seen: dict[str, Tag] = {}
    at, rest = len(chunks[0]), iter(chunks)
    next(rest)
    for chunk in rest:
        head, closed, text = chunk.partition(">")
        tag = (bare(head) or seen.get(head) or _regular(tokens, seen, head)) if closed else None
        if tag:
            add_tag(tag)
            add_text(text)
            at += len(chunk) + 1
            continue
        end = _exact(tokens, source, at)
        at += len(chunk) + 1
        while at < end:
            at += len(next(rest)) + 1
        tokens.texts[-1] += source[end:at]
    return tokens


def _regular(tokens: Tokens, seen: dict[str, Tag], head: str) -> Tag | None:
    """Return the tag of all up to the first `>` if no quote is open there; others are read attribute by attribute."""
    written, _, attributes = head.partition(" ")
    name = _WRITTEN.get(written)
    if not name or "'" in attributes or attributes.count('"') & 1:
        return None
    tag = seen[head] = Tag(name, attributes)
    tokens.different.append(tag)
    return tag


def attribute(written: str, name: str) -> str | None:
    """Return the value of a tag's attribute, which is empty if it has none; the first of one name counts."""
    before, found, rest = written.partition(name + '="')
    if found and "'" not in before and not before.count('"') & 1 and (not before or before[-1] in "\t\n\f\r "):
        return rest.partition('"')[0]
    return all_attributes(written).get(name) if _may_have(written.lower(), name) else None


def _may_have(lowered: str, name: str) -> bool:
    """Return whether a name stands where one can be; most do not, as that of `id` in `width`."""
    at = lowered.find(name)
    while at >= 0:
        end = at + len(name)
        if lowered[end : end + 1] in _AFTER_NAME and (not at or lowered[at - 1] in _BEFORE_NAME):
            return True
        at = lowered.find(name, end)
    return False


def all_attributes(written: str) -> dict[str, str]:
    """Return the values of a tag's attributes by their names in small letters."""
    found: dict[str, str] = {}
    for key, double, single, bare in _ATTRIBUTE.findall(written):
        found.setdefault(key.lower(), double or single or bare)
    return found


def _exact(tokens: Tokens, source: str, at: int) -> int:
    """Add what begins with the `<` at an offset; return the offset of its end."""
    name = _NAME.match(source, at + 1)
    if name:
        return _tag(tokens, source, name[0].lower(), name.end())
    if source.startswith("!--", at + 1):
        return _comment(tokens, source, at + 4)
    if source.startswith(("!", "?", "/"), at + 1) and at + 2 < len(source):
        tokens.add(NO_TAG)
        return _end(tokens, source, at + 1, source.find(">", at + 2), 1)
    tokens.add(NO_TAG, "<")
    return at + 1


def _end(tokens: Tokens, source: str, start: int, found: int, length: int) -> int:
    """Return the offset behind an end mark; without one, the rest of the source is swallowed."""
    if found >= 0:
        return found + length
    tokens.unclosed.append(source[start:])
    return len(source)


def _comment(tokens: Tokens, source: str, start: int) -> int:
    tokens.add(NO_TAG)
    tokens.comments += 1
    for short in (">", "->"):
        if source.startswith(short, start):
            return start + len(short)
    found = _COMMENT_END.search(source, start)
    return _end(tokens, source, start, found.end() if found else -1, 0)


def _tag(tokens: Tokens, source: str, name: str, start: int) -> int:
    at = _after_blank(source, start)
    while at < len(source) and source[at] != ">":
        found = _ATTRIBUTE.match(source, at)
        at = _after_blank(source, found.end() if found else at + 1)
    if at >= len(source):
        tokens.add(NO_TAG)
        return _end(tokens, source, start, -1, 0)
    tag = Tag(name, source[start:at].lstrip("\t\n\f\r /"))
    tokens.add(tag)
    tokens.different.append(tag)
    return _raw_text(tokens, source, name, at + 1) if name in _RAW_ENDS else at + 1


def _after_blank(source: str, at: int) -> int:
    found = _BLANK.match(source, at)
    return found.end() if found else at


def _raw_text(tokens: Tokens, source: str, name: str, start: int) -> int:
    found = _RAW_ENDS[name].search(source, start) if name != "plaintext" else None
    end = found.start() if found else len(source)
    tokens.raw[len(tokens.tags) - 1] = source[start:end]
    if not found and name != "plaintext":
        tokens.unclosed.append(source[start:])
    return end
