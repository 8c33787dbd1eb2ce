"""Elements of an HTML source: which of them are open, and whether a reader sees the text inside.

It follows the tree construction of the HTML standard (13.2.6) where that decides what is hidden: implied end tags,
scopes, formatting elements that are opened again, and text that a table puts out.
"""

from collections import defaultdict
from typing import NamedTuple

from features import colors, css
from features.tags import Tokens, attribute

WHITE: colors.Color = (255, 255, 255)
BLACK: colors.Color = (0, 0, 0)
LINK_BLUE: colors.Color = (0, 0, 238)

REOPENED_LIMIT = 8
"""Most formatting elements that an end tag opens again; a browser has no limit, and quadratic cost."""

BREAK = "\0"
"""Mark between lines; no text holds it."""

_BLOCKS = ["address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frameset", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hgroup", "hr", "html", "legend", "li", "listing", "main", "menu", "nav", "ol", "optgroup", "option", "p", "plaintext", "pre", "search", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul", "xmp", "caption"]
_VOID = frozenset(["area", "base", "br", "col", "embed", "frame", "hr", "img", "image", "input", "link", "meta", "param", "source", "track", "wbr", "keygen"])
_FORMATTING = frozenset(["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"])
_FENCES = frozenset(["table", "td", "th", "caption", "button", "template", "marquee", "object", "applet", "html"])
_TABLE_PARTS = frozenset(["table", "tbody", "thead", "tfoot", "tr", "td", "th", "caption", "colgroup"])
_IN_TABLE = frozenset(["table", "tbody", "thead", "tfoot", "tr"])
_NEVER_SHOWN = frozenset(["template", "datalist", "audio", "video", "canvas", "noscript"])
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")

_CLOSED_BY: dict[str, tuple[str, ...]] = {
    **{name: ("p",) for name in _BLOCKS if name not in _TABLE_PARTS and name not in ("option", "optgroup", "html")},
    "li": ("li", "p"),
    "dd": ("dd", "dt", "p"),
    "dt": ("dd", "dt", "p"),
    "option": ("option",),
    "optgroup": ("option", "optgroup"),
    "tr": ("td", "th", "tr", "caption"),
    "td": ("td", "th", "caption"),
    "th": ("td", "th", "caption"),
    **dict.fromkeys(("tbody", "thead", "tfoot"), ("td", "th", "tr", "tbody", "thead", "tfoot", "caption")),
    "a": ("a",),
    "button": ("button",),
    "nobr": ("nobr",),
    "table": (),
}
"""Open elements that a start tag closes first."""

_SCOPES: dict[str, tuple[str, ...]] = {
    "li": ("ul", "ol", *_FENCES),
    "dd": ("dl", *_FENCES),
    "dt": ("dl", *_FENCES),
    "option": ("select",),
    "optgroup": ("select",),
    **dict.fromkeys(_TABLE_PARTS - {"table"}, ("table", "template")),
    "table": ("template",),
    "button": tuple(_FENCES - {"button"}),
}
"""Elements that an end tag cannot reach out of."""

_DISPLAY_BREAKS = {
    **dict.fromkeys(("block", "table", "list-item", "flex", "grid", "table-row", "flow-root"), BREAK),
    **dict.fromkeys(("inline", "contents", "inline-block", "inline-flex", "inline-table"), ""),
    "table-cell": " ",
}
_START_BREAKS = {**dict.fromkeys(_BLOCKS, BREAK), "br": BREAK, "/br": BREAK, "td": " ", "th": " "}


class Breaks(dict[str, str]):
    """Marks that tags put between the texts around them; a name that is missing puts none."""

    def __missing__(self, name: str) -> str:
        """Return the mark of an unknown tag."""
        return ""


BREAKS = Breaks({**_START_BREAKS, **{f"/{name}": mark for name, mark in _START_BREAKS.items()}})


class Sight(NamedTuple):
    """What an element passes on to its text and to the elements inside."""

    gone: bool = False
    unseen: bool = False
    size: float = 16.0
    color: colors.Color | None = BLACK
    background: colors.Color | None = WHITE
    kept_lines: bool = False
    """Line ends of the source are shown."""

    @property
    def hidden(self) -> bool:
        """Whether a reader does not see text here."""
        return self.gone or self.unseen or self.size <= 1 or colors.same(self.color, self.background)


class Element(NamedTuple):
    """An open element."""

    name: str
    sight: Sight
    hidden: bool
    style: css.Style
    mark: str
    """What its end puts between texts."""


PLAIN = css.Style()


class Tree:
    """Stack of open elements."""

    def __init__(self, sheet: css.Sheet) -> None:
        """Start with nothing but the window."""
        self._sheet = sheet
        self._stack = [Element("", Sight(), hidden=False, style=PLAIN, mark="")]
        self._depths: defaultdict[str, list[int]] = defaultdict(list)
        self._sights: dict[tuple[int, int, str], tuple[Sight, bool]] = {}
        self._kept: list[object] = []

    def read(self, tokens: Tokens) -> tuple[list[str], list[str]]:
        """Return the texts that are shown, with marks between lines, and those that are hidden."""
        shown: list[str] = []
        hidden: list[str] = []
        stack = self._stack
        for name, attributes, text in zip(tokens.names, tokens.attributes, tokens.texts, strict=True):
            if name:
                mark = self._end(name[1:]) if name[0] == "/" else self._start(name, attributes)
                if mark:
                    shown.append(mark)
            if text:
                top = stack[-1]
                if top.name in _IN_TABLE and not text.isspace():
                    top = stack[self._depths["table"][-1] - 1] if self._depths["table"] else top
                if top.hidden:
                    hidden.append(text)
                else:
                    shown.append(text.replace("\n", BREAK) if top.sight.kept_lines else text)
        return shown, hidden

    def _start(self, name: str, attributes: str) -> str:
        closed = _CLOSED_BY.get(name)
        mark = ""
        if closed:
            for other in closed:
                depths = self._depths.get(other)
                if depths and self._reaches(other, depths[-1]):
                    mark = self._close(depths[-1])
        style = self._style(name, attributes) if attributes or self._sheet.rules or name in _NEVER_SHOWN else PLAIN
        own = BREAKS[name] if not style.display else _DISPLAY_BREAKS.get(style.display, BREAKS[name])
        if name in _VOID:
            return (own if not self._stack[-1].sight.gone and not style.gone else "") or mark
        parent = self._stack[-1]
        if style is PLAIN and name not in ("a", "pre", "listing"):
            sight, hidden = parent.sight, parent.hidden
        else:
            sight, hidden = self._inherit(parent.sight, style, name, attributes)
        if sight.gone:
            own = ""
        self._depths[name].append(len(self._stack))
        self._stack.append(Element(name, sight, hidden, style, own))
        return own or mark

    def _end(self, name: str) -> str:
        stack = self._stack
        top = stack[-1]
        if top.name == name:
            stack.pop()
            self._depths[name].pop()
            return top.mark
        if name in ("br", "p"):
            # A browser makes an element of an end tag that has no start.
            if name == "br" or not self._depths["p"]:
                return "" if top.sight.gone else BREAK
        if name in ("body", "html"):
            return ""
        depths = self._depths.get(name)
        if not depths and name in _HEADINGS:
            depths = max((self._depths[other] for other in _HEADINGS), key=lambda found: found[-1] if found else -1)
        if depths and self._reaches(name, depths[-1]):
            return self._close(depths[-1])
        return ""

    def _reaches(self, name: str, depth: int) -> bool:
        """Return whether no element between hides an open element from an end tag."""
        found = self._depths
        return not any(found[other] and found[other][-1] > depth for other in _SCOPES.get(name, _FENCES))

    def _close(self, depth: int) -> str:
        """Close an element and all inside; open formatting elements again that were not closed themselves."""
        stack = self._stack
        mark = ""
        again: list[Element] = []
        element = stack[-1]
        while len(stack) > depth:
            element = stack.pop()
            self._depths[element.name].pop()
            mark = element.mark or mark
            if element.name in _FENCES:
                again.clear()
            elif element.name in _FORMATTING and len(again) < REOPENED_LIMIT:
                again.append(element)
        if element.name not in _FENCES:
            if again and again[-1] is element:
                again.pop()
            self._open_again(again)
        return mark

    def _open_again(self, elements: list[Element]) -> None:
        for element in reversed(elements):
            sight, hidden = self._inherit(self._stack[-1].sight, element.style, element.name, "")
            self._depths[element.name].append(len(self._stack))
            self._stack.append(element._replace(sight=sight, hidden=hidden))

    def _style(self, name: str, attributes: str) -> css.Style:
        """Return the style of an element by its attributes and the rules for it."""
        lowered = attributes.lower()
        own = attribute(attributes, "style") or "" if "style" in lowered else ""
        bodies: list[str] = []
        if self._sheet.rules:
            classes = (attribute(attributes, "class") or "").lower() if "class" in lowered else ""
            identity = (attribute(attributes, "id") or "").lower() if "id" in lowered else ""
            bodies = self._sheet.of(name, classes, identity)
        hints = _hints(name, attributes, lowered)
        if hints:
            bodies = [hints, *bodies]
        return css.style(bodies, own) if bodies or own else PLAIN

    def _inherit(self, parent: Sight, style: css.Style, name: str, attributes: str) -> tuple[Sight, bool]:
        link = name if name in ("a", "pre", "listing") else ""
        if link == "a" and "href" not in attributes:
            link = ""
        key = (id(parent), id(style), link)
        found = self._sights.get(key)
        if not found:
            sight = _inherited(parent, style, link)
            found = self._sights[key] = (sight, sight.hidden)
            self._kept += [parent, style]
        return found


def _inherited(parent: Sight, style: css.Style, name: str) -> Sight:
    size = parent.size
    if style.size is not None:
        size = style.size * parent.size if style.relative else style.size
    background = parent.background
    if style.picture and style.background in (None, colors.CLEAR):
        background = None
    elif style.picture or style.background not in (None, colors.CLEAR):
        background = None if style.picture else style.background
    color = style.color if style.color is not None else LINK_BLUE if name == "a" else parent.color
    kept = style.white_space.startswith("pre") if style.white_space else parent.kept_lines or name in ("pre", "listing")
    unseen = parent.unseen if style.unseen is None else style.unseen
    return Sight(parent.gone or style.gone, unseen, min(size, 1e6), color, background, kept)


def _hints(name: str, attributes: str, lowered: str) -> str:
    """Return the declarations that attributes other than `style` stand for."""
    hints: list[str] = []
    if name in _NEVER_SHOWN:
        hints.append("display:none")
    if "hidden" in lowered and attribute(attributes, "hidden") is not None:
        hints.append("display:none")
    if name == "dialog" and attribute(attributes, "open") is None:
        hints.append("display:none")
    if "bgcolor" in lowered and (value := attribute(attributes, "bgcolor")):
        hints.append(f"background-color:{_plain(value)}")
    if "background" in lowered and name in ("body", "table", "tr", "td", "th") and attribute(attributes, "background"):
        hints.append("background-image:picture")
    if name == "font" and "color" in lowered and (value := attribute(attributes, "color")):
        hints.append(f"color:{_plain(value)}")
    if name == "body" and "text" in lowered and (value := attribute(attributes, "text")):
        hints.append(f"color:{_plain(value)}")
    return ";".join(hints)


def _plain(value: str) -> str:
    return value.partition(";")[0].partition("!")[0][:100]
