"""Elements of an HTML source: which of them are open, and whether a reader sees the text inside.

It follows the tree construction of the HTML standard (13.2.6) where that decides what is hidden: implied end tags,
scopes, formatting elements that are opened again, and text that a table puts out.
"""

from collections.abc import Collection

from features import css
from features.sight import BLOCKS, BREAK, PLAIN, VOIDS, Sight, inherited, names
from features.tags import Tag, Tokens

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

_REACHES = {
    name: (frozenset(closed), frozenset(_SCOPES.get(closed[0], _FENCES)))
    for name, closed in _CLOSED_BY.items()
    if closed
}
"""Elements that a start tag closes, and those that it cannot reach out of."""
_NOTHING_TO_CLOSE = {"td": ("tr",), "tr": ("table", "tbody"), "p": ("td",), "div": ("td",), "table": ("td",)}
"""Elements in which a common start tag closes nothing."""
_RESTYLED = names("a pre listing")
VOID, VOID_CLOSING, PUSHED, OPENING, CLOSING = range(5)
"""What a tag does to the stack of open elements: nothing, close others, be pushed, both, and end one."""

Look = tuple[css.Style, str, int]
"""Tag's style, the mark it puts between texts, and what it does to the stack."""

Element = tuple[str, Sight, int, css.Style, str]
"""An open element: name, what it passes on, how its text is treated, its style, the mark that its end puts."""
_SHOWN, _HIDDEN, _KEPT = 0, 1, 2
"""Treatment of text: shown, hidden, and shown with the line ends of the source."""


class Tree:
    """Stack of open elements."""

    def __init__(self, around: Sight | None = None, within: str = "") -> None:
        """Start with the window, or with an element named `within` whose parent passes on what is `around`."""
        self._inside = around is not None
        self._stack: list[Element] = [("", around or Sight(), _SHOWN, PLAIN, "")]
        self._no_p = within in BLOCKS or within in _FENCES
        self.lost = False
        self.closed = False
        self._sights: dict[tuple[int, int, str], tuple[Sight, int]] = {}
        self._held: list[object] = []
        self._steps = STEP_LIMIT

    def read(self, tokens: Tokens, looks: dict[Tag, Look], first: int = 0) -> tuple[list[str], list[str], int]:
        """Read all tags, or those of one element if the tree starts inside another.

        Returns:
            Texts that are shown, with marks between lines; texts that are hidden; index of the last tag that was read.
            If `lost`, what is around the element decides where it ends, and nothing of that holds.
        """
        shown: list[str] = []
        hidden: list[str] = []
        stack, show, inside = self._stack, shown.append, self._inside
        at = first
        texts, push, pop = tokens.texts, stack.append, stack.pop
        for at in range(first, len(texts)):
            tag, text = tokens.tags[at], texts[at]
            style, mark, role = looks[tag]
            if role == PUSHED:
                top = stack[-1]
                if top[1].gone:
                    mark = ""
                push((tag.name, top[1], top[2], PLAIN, mark))
            elif role == CLOSING:
                name, _, _, _, mark = stack[-1]
                if name == tag.name[1:]:
                    pop()
                else:
                    mark = self._end(tag.name[1:])
            elif role == VOID:
                if mark and stack[-1][1].gone:
                    mark = ""
            else:
                mark = self._start(tag, style, mark, role)
            if mark:
                show(mark)
            if inside and (len(stack) == 1 or self.lost):
                self.closed = True
                break
            if text:
                name, _, treatment, _, _ = stack[-1]
                if not treatment:
                    show(text)
                    continue
                if name in _IN_TABLE and not text.isspace():
                    treatment = self._put_out()
                if not treatment:
                    show(text)
                elif treatment == _HIDDEN:
                    hidden.append(text)
                else:
                    show(text.replace("\n", BREAK))
        return shown, hidden, at

    def _put_out(self) -> int:
        """Return the treatment of text that a table puts in front of itself."""
        depth = self._find("table", ())
        return self._stack[depth - 1 if depth > 0 else -1][2]

    def _start(self, tag: Tag, style: css.Style, own: str, role: int) -> str:
        name, stack = tag.name, self._stack
        mark = ""
        reach = _REACHES.get(name)
        if reach and len(stack) > self._inside and stack[-1][0] not in _NOTHING_TO_CLOSE.get(name, ()):
            mark = self._imply(*reach)
        _, sight, treatment, _, _ = stack[-1]
        if role == VOID_CLOSING:
            return (own if not sight.gone and not style.gone else "") or mark
        if style is not PLAIN or name in _RESTYLED:
            sight, treatment = self._inherit(sight, style, _kind(tag))
        if sight.gone:
            own = ""
        stack.append((name, sight, treatment, style, own))
        return own or mark

    def _imply(self, closed: Collection[str], scope: Collection[str]) -> str:
        """Close the elements that a start tag closes."""
        stack = self._stack
        depth = found = 0
        least = 0 if self._steps > 0 else max(0, len(stack) - DEPTH_LIMIT)
        for depth in range(len(stack) - 1, least, -1):
            name = stack[depth][0]
            if name in closed:
                found = depth
            elif name in scope:
                break
        else:
            self.lost = self.lost or (self._inside and not found and not (self._no_p and "p" in closed))
        self._steps -= len(stack) - depth
        self.lost = self.lost or (self._inside and found == 1)
        return self._close(found) if found else ""

    def _find(self, name: str, scope: Collection[str]) -> int:
        """Return the depth of the innermost element of a name, 0 if none is within reach."""
        stack = self._stack
        depth = 0
        least = 0 if self._steps > 0 else max(0, len(stack) - DEPTH_LIMIT)
        for depth in range(len(stack) - 1, least, -1):
            found = stack[depth][0]
            if found == name or found in scope:
                self._steps -= len(stack) - depth
                return depth if found == name else 0
        self._steps -= len(stack) - least
        self.lost = True
        return 0

    def _end(self, name: str) -> str:
        """Close the element of an end tag that does not end the innermost one."""
        gone = self._stack[-1][1].gone
        if name == "br":
            return "" if gone else BREAK
        if name in ("body", "html") or name in VOIDS:
            return ""
        depth = self._find(name, _SCOPES.get(name, _FENCES))
        if not depth and name == "p":
            # A browser makes an element of this end tag even without a start.
            return "" if gone else BREAK
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
            mark = element[4] or mark
            if element[0] in _FENCES:
                again.clear()
            elif element[0] in _FORMATTING and len(stack) > depth and len(again) < REOPENED_LIMIT:
                again.append(element)
        if again and element[0] not in _FENCES:
            for name, _, _, style, own in reversed(again):
                sight, treatment = self._inherit(stack[-1][1], style, "")
                stack.append((name, sight, treatment, style, own))
        self.lost = self.lost or (depth == 1 and self._inside and len(again) > 0)
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


def role_of(tag: Tag, style: css.Style) -> int:
    """Return what a tag of a style does to the stack of open elements."""
    name = tag.name
    if name[:1] == "/":
        return CLOSING
    if not name or name in VOIDS:
        return VOID_CLOSING if name in _REACHES or style.gone else VOID
    plain = style is PLAIN and name not in _RESTYLED and name not in _REACHES
    return PUSHED if plain else OPENING
