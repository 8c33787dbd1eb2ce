"""Looks of elements: what a tag's attributes and the style sheets do to the text inside."""

from typing import NamedTuple

from features import colors, css
from features.tags import Tag, attribute

WHITE: colors.Color = (255, 255, 255)
BLACK: colors.Color = (0, 0, 0)
LINK_BLUE: colors.Color = (0, 0, 238)

BREAK = "\0"
"""Mark between lines; no text holds it."""


def names(text: str) -> frozenset[str]:
    """Return the names of a list with blanks between."""
    return frozenset(text.split())


BLOCKS = names(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer "
    "form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li listing main menu nav ol optgroup option p "
    "plaintext pre search section summary table tbody tfoot thead tr ul xmp caption"
)
VOID = names("area base br col embed frame hr img image input link meta param source track wbr keygen")
_NEVER_SHOWN = names("template datalist audio video canvas noscript")

_DISPLAY_BREAKS = {
    **dict.fromkeys(("block", "table", "list-item", "flex", "grid", "table-row", "flow-root"), BREAK),
    **dict.fromkeys(("inline", "contents", "inline-block", "inline-flex", "inline-table"), ""),
    "table-cell": " ",
}
_START_BREAKS = {**dict.fromkeys(BLOCKS, BREAK), "br": BREAK, "/br": BREAK, "td": " ", "th": " "}


class Breaks(dict[str, str]):
    """Marks that tags put between the texts around them; a name that is missing puts none."""

    def __missing__(self, name: str) -> str:
        """Return the mark of an unknown tag."""
        return ""


BREAKS = Breaks({**_START_BREAKS, **{f"/{name}": mark for name, mark in _START_BREAKS.items()}})


_HINTED = _NEVER_SHOWN | names("dialog body table tr td th tbody thead tfoot font")
"""Elements whose attributes other than `style` and `hidden` matter."""
KEEPING = ("pre", "listing")
"""Elements that show the line ends of the source."""
PLAIN = css.Style()
Look = tuple[css.Style, str, bool]
"""A tag's style, the mark it puts between texts, and whether its element has no content."""


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


class Looks:
    """Looks of the tags of one source; those written alike are looked at once."""

    def __init__(self, sheet: css.Sheet) -> None:
        """Start with the rules that hold for the source."""
        self._sheet = sheet
        self._looks: dict[Tag, Look] = {}
        self._styles: dict[tuple[str, str, str, str, str], css.Style] = {}
        self._equal: dict[css.Style, css.Style] = {}

    def of(self, tag: Tag) -> Look:
        """Return the look of a tag."""
        found = self._looks.get(tag)
        if not found:
            special = tag.attributes or self._sheet.rules or tag.name in _NEVER_SHOWN or tag.name == "dialog"
            style = self._style(tag.name, tag.attributes) if special and tag.name[:1] != "/" else PLAIN
            mark = BREAKS[tag.name] if not style.display else _DISPLAY_BREAKS.get(style.display, BREAKS[tag.name])
            found = self._looks[tag] = (style, mark, tag.name in VOID)
        return found

    def _style(self, name: str, attributes: str) -> css.Style:
        """Return the style of an element by its attributes and the rules for it."""
        lowered = attributes.lower()
        own = attribute(attributes, "style") or "" if "style" in lowered else ""
        if not own and not self._sheet.rules and name not in _HINTED and "hidden" not in lowered:
            return PLAIN
        classes = identity = ""
        if self._sheet.rules:
            classes = (attribute(attributes, "class") or "").lower() if "class" in lowered else ""
            identity = (attribute(attributes, "id") or "").lower() if "id=" in lowered or "id " in lowered else ""
        key = (name, classes, identity, own, _hints(name, attributes, lowered))
        style = self._styles.get(key)
        if not style:
            found = css.style([key[4], *self._sheet.of(name, classes, identity)], own)
            # Equal styles are one object, so that elements in them can be known by it.
            style = self._styles[key] = PLAIN if found == PLAIN else self._equal.setdefault(found, found)
        return style


def inherited(parent: Sight, style: css.Style, name: str) -> Sight:
    """Return what an element passes on: its own style, and what it does not set from its parent."""
    size = parent.size
    if style.size is not None:
        size = style.size * parent.size if style.relative else style.size
    background = parent.background
    if style.picture and style.background in (None, colors.CLEAR):
        background = None
    elif style.picture or style.background not in (None, colors.CLEAR):
        background = None if style.picture else style.background
    color = style.color if style.color is not None else LINK_BLUE if name == "a" else parent.color
    kept = style.white_space.startswith("pre") if style.white_space else parent.kept_lines or name in KEEPING
    unseen = parent.unseen if style.unseen is None else style.unseen
    return Sight(parent.gone or style.gone, unseen, min(size, 1e6), color, background, kept)


def _hints(name: str, attributes: str, lowered: str) -> str:
    """Return the declarations that attributes other than `style` stand for."""
    if name not in _HINTED and "hidden" not in lowered:
        return ""
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
