"""Looks of elements: what a tag's attributes and the style sheets do to the text inside."""

from functools import lru_cache
from typing import NamedTuple

from features import colors, css
from features.tags import KNOWN_LIMIT, Tag, attribute

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
VOIDS = names("area base br col embed frame hr img image input link meta param source track wbr keygen")
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
PLAIN = css.PLAIN
RULED_LIMIT = 1024
"""Most tags whose looks are kept for one style sheet."""
Look = tuple[css.Style, str]
"""A tag's style and the mark it puts between texts."""


class Sight(NamedTuple):
    """Looks that an element passes on to its text and to the elements inside."""

    gone: bool = False
    unseen: bool = False
    size: float = 16.0
    color: colors.Color | None = BLACK
    background: colors.Color | None = WHITE
    kept_lines: bool = False
    """Line ends of the source are shown."""

    @property
    def hidden(self) -> bool:
        """True if a reader does not see text here."""
        return self.gone or self.unseen or self.size <= 1 or colors.same(self.color, self.background)


class Looks:
    """Looks of the tags of one source; those written alike are looked at once."""

    def __init__(self, sheet: css.Sheet) -> None:
        """Start with the rules that hold for the source."""
        self._sheet = sheet
        self.kept: dict[Tag, tuple[css.Style, str, int]] = {}
        self.limit = RULED_LIMIT if sheet.rules else KNOWN_LIMIT
        self._identities = any("#" in selector for selector in sheet.rules)
        self._matched: dict[tuple[str, str, str], tuple[str, ...]] = {}

    def of(self, tag: Tag) -> Look:
        """Return the look of a tag."""
        name, attributes = tag.name, tag.attributes
        if name[:1] == "/" or not name:
            return _bare_look(name)
        lowered = attributes.lower()
        rules = self._rules(name, attributes, lowered) if self._sheet.rules else ()
        if not rules and not (attributes and _may_style(name, lowered)):
            return _bare_look(name)
        own = attribute(attributes, "style", lowered) or ""
        style = css.style((_hints(name, attributes, lowered), *rules, own))
        return style, BREAKS[name] if not style.display else _DISPLAY_BREAKS.get(style.display, BREAKS[name])

    def _rules(self, name: str, attributes: str, lowered: str) -> tuple[str, ...]:
        classes = (attribute(attributes, "class", lowered) or "").lower() if lowered else ""
        identity = (attribute(attributes, "id", lowered) or "").lower() if lowered and self._identities else ""
        key = (name, classes, identity)
        found = self._matched.get(key)
        if found is None:
            if len(self._matched) >= RULED_LIMIT:
                self._matched.clear()
            found = self._matched[key] = tuple(self._sheet.of(name, classes, identity))
        return found


def looks_for(sheets: list[str]) -> Looks:
    """Return the looks of tags under style sheets, kept for the next mails of the same sender."""
    source = "\n".join(sheets)
    return _kept_looks(source) if len(source) <= css.SHEET_LIMIT else Looks(css.sheet(source))


@lru_cache(maxsize=32)
def _kept_looks(source: str) -> Looks:
    return Looks(css.sheet(source))


@lru_cache(maxsize=512)
def _bare_look(name: str) -> Look:
    """Return the look of a tag that has no style."""
    hidden = name in _NEVER_SHOWN or name == "dialog"
    return css.Style(gone=True) if hidden else PLAIN, BREAKS[name]


def _may_style(name: str, lowered: str) -> bool:
    """Return whether a tag's attributes can set its style."""
    if "style" in lowered or "hidden" in lowered or name in ("body", "dialog"):
        return True
    return name in _HINTED and ("color" in lowered or "background" in lowered)


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
    if "hidden" in lowered and attribute(attributes, "hidden", lowered) is not None:
        hints.append("display:none")
    if name == "dialog" and attribute(attributes, "open", lowered) is None:
        hints.append("display:none")
    if "bgcolor" in lowered and (value := attribute(attributes, "bgcolor", lowered)):
        hints.append(f"background-color:{_plain(value)}")
    if (
        "background" in lowered
        and name in ("body", "table", "tr", "td", "th")
        and attribute(attributes, "background", lowered)
    ):
        hints.append("background-image:picture")
    if name == "font" and "color" in lowered and (value := attribute(attributes, "color", lowered)):
        hints.append(f"color:{_plain(value)}")
    if name == "body" and "text" in lowered and (value := attribute(attributes, "text", lowered)):
        hints.append(f"color:{_plain(value)}")
    return ";".join(hints)


def _plain(value: str) -> str:
    return value.partition(";")[0].partition("!")[0][:100]
