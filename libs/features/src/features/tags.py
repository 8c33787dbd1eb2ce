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
_BLANK = re.compile(r"[\t\n\f\r /]*+")
_NAME = re.compile(r"/?[a-zA-Z][^\t\n\f\r />]*+")
_COMMENT_END = re.compile(r"--!?>")
_RAW_ENDS = {name: re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE) for name in RAW_TEXT}

_COMMON = ["a", "abbr", "address", "article", "aside", "b", "big", "blockquote", "body", "br", "button", "caption", "center", "cite", "code", "col", "dd", "div", "dl", "dt", "em", "figure", "font", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "i", "img", "input", "label", "li", "link", "main", "meta", "nav", "o:p", "ol", "option", "p", "pre", "s", "section", "select", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul"]
_WRITTEN = {
    end + written + slash: end + name
    for name in _COMMON
    for written in (name, name.upper())
    for end, slash in (("", ""), ("", "/"), ("/", ""))
}
"""Names of common tags by the way they are written."""


@dataclass(slots=True)
class Tokens:
    """Tags of a source in order, each with the text that follows it."""

    names: list[str] = field(default_factory=list)
    """Names in small letters. A closing tag's begins with `/`; text that follows no tag has an empty one."""
    attributes: list[str] = field(default_factory=list)
    """Attributes of each tag as written."""
    texts: list[str] = field(default_factory=list)
    """Text up to the next tag as written, entities included."""
    raw: dict[int, str] = field(default_factory=dict)
    """Content of raw-text elements by the index of their tag."""
    comments: int = 0
    unclosed: list[str] = field(default_factory=list)
    """Text that a browser swallows because a comment, a tag or a raw-text element never ends."""

    def add(self, name: str, attributes: str = "", text: str = "") -> None:
        """Add a tag, or text without one if the name is empty."""
        self.names.append(name)
        self.attributes.append(attributes)
        self.texts.append(text)


def read(source: str) -> Tokens:
    """Return the tokens of a source; any text is accepted and none raises an error."""
    tokens = Tokens()
    names, attributes, texts = tokens.names, tokens.attributes, tokens.texts
    chunks = source.split("<")
    tokens.add("", "", chunks[0])
    at, index, count = len(chunks[0]), 1, len(chunks)
    while index < count:
        chunk = chunks[index]
        head, closed, text = chunk.partition(">")
        written, _, rest = head.partition(" ")
        name = _WRITTEN.get(written)
        # Where no quote is open, the first > ends the tag. All other tags are read attribute by attribute.
        if name and closed and (not rest or ("'" not in rest and not rest.count('"') & 1)):
            names.append(name)
            attributes.append(rest)
            texts.append(text)
            at += len(chunk) + 1
            index += 1
            continue
        end = _exact(tokens, source, at)
        while index < count and at < end:
            at += len(chunks[index]) + 1
            index += 1
        texts[-1] += source[end:at]
    return tokens


def attribute(written: str, name: str) -> str | None:
    """Return the value of a tag's attribute, which is empty if it has none; the first of one name counts."""
    before, found, rest = written.partition(name + '="')
    if found and "'" not in before and not before.count('"') & 1 and (not before or before[-1] in "\t\n\f\r "):
        return rest.partition('"')[0]
    if name not in written.lower():
        return None
    return all_attributes(written).get(name)


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
        tokens.add("")
        return _end(tokens, source, at + 1, source.find(">", at + 2), 1)
    tokens.add("", "", "<")
    return at + 1


def _end(tokens: Tokens, source: str, start: int, found: int, length: int) -> int:
    """Return the offset behind an end mark; without one, the rest of the source is swallowed."""
    if found >= 0:
        return found + length
    tokens.unclosed.append(source[start:])
    return len(source)


def _comment(tokens: Tokens, source: str, start: int) -> int:
    tokens.add("")
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
        tokens.add("")
        return _end(tokens, source, start, -1, 0)
    tokens.add(name, source[start:at].lstrip("\t\n\f\r /"))
    return _raw_text(tokens, source, name, at + 1) if name in _RAW_ENDS else at + 1


def _after_blank(source: str, at: int) -> int:
    found = _BLANK.match(source, at)
    return found.end() if found else at


def _raw_text(tokens: Tokens, source: str, name: str, start: int) -> int:
    found = _RAW_ENDS[name].search(source, start) if name != "plaintext" else None
    end = found.start() if found else len(source)
    tokens.raw[len(tokens.names) - 1] = source[start:end]
    if not found and name != "plaintext":
        tokens.unclosed.append(source[start:])
    return end
