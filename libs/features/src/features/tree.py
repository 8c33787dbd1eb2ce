"""Elements of an HTML source: which of them are open, and whether a reader sees the text inside.

It follows the tree construction of the HTML standard (13.2.6) where that decides what is hidden: implied end tags,
scopes, formatting elements that are opened again, and text that a table puts out.
"""

from collections.abc import Collection

from features import css
from features.sight import BLOCKS, BREAK, PLAIN, VOID, Looks, Sight, inherited, names
from features.tags import NO_TAG, Tag, Tokens

REOPENED_LIMIT = 8
"""Most formatting elements that an end tag opens again; a browser has no limit, and quadratic cost."""

STEP_LIMIT = 1_000_000
"""Open elements that end tags look at, over a whole source, before only the innermost `DEPTH_LIMIT` are looked at."""
DEPTH_LIMIT = 16

_FORMATTING = names("a b big code em font i nobr s small strike strong tt u")
_FENCES = names("table td th caption button template marquee object applet html")
_TABLE_PARTS = names("table tbody thead tfoot tr td th caption colgroup")
_IN_TABLE = names("table tbody thead tfoot tr")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")

_CLOSED_BY: dict[str, tuple[str, ...]] = {
    **{name: ("p",) for name in BLOCKS if name not in _TABLE_PARTS and name not in ("option", "optgroup", "html")},
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

Element = tuple[str, Sight, int, css.Style, str]
"""An open element: name, what it passes on, how its text is treated, its style, the mark that its end puts."""
_SHOWN, _HIDDEN, _KEPT = 0, 1, 2
"""Treatment of text: shown, hidden, and shown with the line ends of the source."""
_RESTYLED = names("a pre listing")
_COUNTED = names("p li dd dt option optgroup a button nobr")
"""Elements that a start tag closes from afar; they are counted, so that nobody looks for one that is not open."""


class Tree:
    """Stack of open elements."""

    def __init__(self, looks: Looks, around: Sight | None = None, within: str = "") -> None:
        """Start with the window, or with an element named `within` whose parent passes on what is `around`."""
        self._looks = looks
        self._inside = around is not None
        self._stack: list[Element] = [("", around or Sight(), _SHOWN, PLAIN, "")]
        self._open = dict.fromkeys(_COUNTED, int(self._inside))
        if within in BLOCKS or within in _FENCES:
            self._open["p"] = 0
        self.lost = False
        self.closed = False
        self._sights: dict[tuple[int, int, str], tuple[Sight, int]] = {}
        self._held: list[object] = []
        self._steps = STEP_LIMIT

    def read(self, tokens: Tokens, first: int = 0) -> tuple[list[str], list[str], int]:
        """Read all tags, or those of one element if the tree starts inside another.

        Returns:
            Texts that are shown, with marks between lines; texts that are hidden; index of the last tag that was read.
            If `lost`, what is around the element decides where it ends, and nothing of that holds.
        """
        shown: list[str] = []
        hidden: list[str] = []
        stack, start, end = self._stack, self._start, self._end
        at = first
        for at in range(first, len(tokens.tags)):
            tag, text = tokens.tags[at], tokens.texts[at]
            if tag is not NO_TAG:
                mark = end(tag.name) if tag.name[0] == "/" else start(tag)
                if mark:
                    shown.append(mark)
                if self._inside and (len(stack) == 1 or self.lost):
                    self.closed = True
                    break
            if text:
                name, _, treatment, _, _ = stack[-1]
                if treatment and name in _IN_TABLE and not text.isspace():
                    treatment = self._put_out()
                if not treatment:
                    shown.append(text)
                elif treatment == _HIDDEN:
                    hidden.append(text)
                else:
                    shown.append(text.replace("\n", BREAK))
        return shown, hidden, at

    def _put_out(self) -> int:
        """Return the treatment of text that a table puts in front of itself."""
        depth = self._find("table", ())
        return self._stack[depth - 1 if depth > 0 else -1][2]

    def _start(self, tag: Tag) -> str:
        name = tag.name
        closed = _CLOSED_BY.get(name) if len(self._stack) > self._inside else None
        mark = self._imply(name, closed) if closed else ""
        style, own, void = self._looks.of(tag)
        _, sight, treatment, _, _ = self._stack[-1]
        if void:
            return (own if not sight.gone and not style.gone else "") or mark
        if style is not PLAIN or name in _RESTYLED:
            sight, treatment = self._inherit(sight, style, _kind(tag))
        if sight.gone:
            own = ""
        if name in _COUNTED:
            self._open[name] += 1
        self._stack.append((name, sight, treatment, style, own))
        return own or mark

    def _imply(self, name: str, closed: tuple[str, ...]) -> str:
        """Close the elements that a start tag closes."""
        mark = ""
        for other in closed:
            if self._open.get(other, 1) and (depth := self._find(other, _SCOPES.get(other, _FENCES))) > 0:
                mark = self._close(depth)
                self.lost = self.lost or depth == 1
        return mark

    def _find(self, name: str, scope: Collection[str]) -> int:
        """Return the depth of the innermost element of a name, 0 if none is within reach."""
        stack = self._stack
        least = 0 if self._steps > 0 else max(0, len(stack) - DEPTH_LIMIT)
        for depth in range(len(stack) - 1, least, -1):
            found = stack[depth][0]
            if found == name:
                self._steps -= len(stack) - depth
                return depth
            if found in scope:
                self._steps -= len(stack) - depth
                return 0
        self._steps -= len(stack) - least
        self.lost = True
        return 0

    def _end(self, closing: str) -> str:
        name = closing[1:]
        top = self._stack[-1]
        if top[0] == name:
            self._stack.pop()
            if name in _COUNTED:
                self._open[name] -= 1
            return top[4]
        # A browser makes an element of these end tags even without a start.
        if name == "br" or (name == "p" and not self._open["p"]):
            return "" if top[1].gone else BREAK
        if name in ("body", "html") or name in VOID:
            return ""
        depth = self._find(name, _SCOPES.get(name, _FENCES))
        if not depth and name in _HEADINGS:
            depth = max(self._find(other, _FENCES) for other in _HEADINGS)
        return self._close(depth) if depth else ""

    def _close(self, depth: int) -> str:
        """Close an element and all inside; open formatting elements again that were not closed themselves."""
        stack = self._stack
        mark = ""
        again: list[Element] = []
        element = stack[-1]
        while len(stack) > depth:
            element = stack.pop()
            name = element[0]
            if name in _COUNTED:
                self._open[name] -= 1
            mark = element[4] or mark
            if name in _FENCES:
                again.clear()
            elif name in _FORMATTING and len(stack) > depth and len(again) < REOPENED_LIMIT:
                again.append(element)
        for name, _, _, style, own in reversed(again if element[0] not in _FENCES else []):
            sight, treatment = self._inherit(stack[-1][1], style, "")
            if name in _COUNTED:
                self._open[name] += 1
            stack.append((name, sight, treatment, style, own))
        self.lost = self.lost or (len(again) > 0 and depth == 1)
        return mark

    def _inherit(self, parent: Sight, style: css.Style, kind: str) -> tuple[Sight, int]:
        key = (id(parent), id(style), kind)
        found = self._sights.get(key)
        if not found:
            sight = inherited(parent, style, kind)
            found = self._sights[key] = (sight, _HIDDEN if sight.hidden else _KEPT if sight.kept_lines else _SHOWN)
            self._held += [parent, style]
        return found


def _kind(tag: Tag) -> str:
    if tag.name == "a":
        return "a" if "href" in tag.attributes.lower() else ""
    return tag.name if tag.name in _RESTYLED else ""
