"""CSS as far as it hides text: declarations, the rules of style sheets, and what they do to an element.

Only rules of one simple selector count (`p`, `.class`, `#id`, `p.class`, `*`); others hardly ever hide a mail's text.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from features import colors

Declarations = dict[str, str]

SHEET_LIMIT = 32_000
"""Most characters of a style sheet that is kept for the next mail of the same sender."""
STYLE_LIMIT = 2_000
"""Most characters of an element's declarations that are kept for the next mails."""
SCREEN_WIDTH = 1000.0
"""CSS pixels of the window that a reader is taken to have."""

_COMMENT = re.compile(r"/\*(?>.*?\*/|.*+)", re.DOTALL)
_RULE = re.compile(r"([^{}]*+)([{}])")
_SELECTOR = re.compile(r"(\*|[a-z][a-z0-9:-]*+)?(?:([.#])([a-z0-9_-]++))?\Z")
_WIDTH = re.compile(r"(min|max)-(?:device-)?width\s*+:\s*+([0-9.]{1,9})\s*+(px|em|rem)?")
_LENGTH = re.compile(r"([+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}))(%|[a-z]{1,4})?")
_PIXELS = {"px": 1.0, "pt": 4 / 3, "em": 16.0, "rem": 16.0, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78, "ex": 8.0}
_WORDS = ("xx-small", "x-small", "small", "medium", "large", "x-large", "xx-large", "initial")
_HIDING = (
    "display visibility opacity font font-size color background background-color background-image width height "
    "max-width max-height overflow overflow-x overflow-y position left top right bottom text-indent margin-left "
    "margin-top clip clip-path transform mso-hide white-space content-visibility -webkit-text-fill-color"
)
_PROPERTIES = frozenset(_HIDING.split())
_FAR = 900.0
"""Pixels beyond the edge of the window from which nothing shows."""
_READABLE = 16.0
"""Pixels that stand for each size that can be read."""
_LEAST = 1.0
"""Pixels up to which a box or a letter is too small to be read."""


class Style(NamedTuple):
    """Effect of an element's declarations on its text; None leaves what the element inherits."""

    gone: bool = False
    """The element and all in it take no place, or none that is seen."""
    unseen: bool | None = None
    """Text is invisible, though an element inside can be visible."""
    size: float | None = None
    """Pixels of the letters, or factor of the inherited size if `relative`."""
    relative: bool = False
    color: colors.Color | None = None
    background: colors.Color | None = None
    picture: bool = False
    """The background is a picture, whose colours are unknown."""
    display: str = ""
    white_space: str = ""


class Sheet(NamedTuple):
    """Declarations of style sheets by selector, each without and with `!important`."""

    rules: dict[str, list[str]]

    def of(self, name: str, classes: str, identity: str) -> list[str]:
        """Return the declarations of all rules for an element, the most specific last."""
        if not self.rules:
            return []
        keys = ["*", name]
        for mark, values in ((".", classes.split()[:20]), ("#", [identity] if identity else [])):
            keys += [mark + value for value in values] + [name + mark + value for value in values]
        rules = self.rules
        return [body for key in keys if key in rules for body in rules[key]]


def sheet(source: str) -> Sheet:
    """Return the rules of style sheets that hold on a screen."""
    source = source.lower()
    rules: dict[str, list[str]] = {}
    source = _COMMENT.sub(" ", source.replace("<!--", " ").replace("-->", " "))
    skipped = depth = 0
    prelude = ""
    for text, brace in _RULE.findall(source + "}"):
        if brace == "}":
            if prelude and not skipped:
                _add(rules, prelude, text)
            prelude = ""
            depth = max(0, depth - 1)
            skipped = skipped if skipped <= depth else 0
            continue
        depth += 1
        prelude = text.rpartition(";")[2].strip()
        if prelude.startswith("@"):
            skipped = skipped or (0 if _holds(prelude) else depth)
            prelude = ""
    return Sheet(rules)


def _add(rules: dict[str, list[str]], prelude: str, body: str) -> None:
    for selector in prelude.split(","):
        found = _SELECTOR.match(selector.strip())
        if not found or not found[0]:
            continue
        name = "" if found[1] == "*" and found[2] else found[1] or ""
        kept = rules.setdefault(name + (found[2] or "") + (found[3] or ""), [])
        # The last rules of a selector win, so a few of them are enough.
        kept.append(body)
        if len(kept) > 20:
            del kept[0]


def _holds(condition: str) -> bool:
    """Return whether an at-rule's block holds on a screen of usual width in a light room."""
    if not condition.startswith("@media"):
        return condition.startswith(("@supports", "@layer"))
    return any(_query_holds(query) for query in condition[6:].split(","))


def _query_holds(query: str) -> bool:
    if "not " in query or "print" in query or "dark" in query or "-ratio" in query or "orientation" in query:
        return False
    for edge, number, unit in _WIDTH.findall(query):
        width = _float(number) * (16 if "em" in unit else 1)
        if (width > SCREEN_WIDTH) if edge == "min" else (width < SCREEN_WIDTH):
            return False
    return not any(word in query for word in ("speech", "handheld", "tty", "forced-colors", "yahoo"))


def _float(number: str) -> float:
    try:
        return float(number)
    except ValueError:
        return 0.0


@lru_cache(maxsize=1024)
def _declared(body: str) -> tuple[Declarations, Declarations]:
    """Return a block's declarations, ordinary ones and those marked important."""
    ordinary: Declarations = {}
    important: Declarations = {}
    if "/*" in body:
        body = _COMMENT.sub("", body)
    for declaration in body.lower().split(";"):
        name, _, value = declaration.partition(":")
        name = name.strip()
        if name in _PROPERTIES:
            value, mark, _ = value.partition("!")
            (important if mark else ordinary)[name] = value.strip()[:200]
    return ordinary, important


PLAIN = Style()


def style(bodies: tuple[str, ...]) -> Style:
    """Return the effect of blocks of declarations on an element, the strongest last; `PLAIN` if there is none."""
    return _kept_effect(bodies) if sum(map(len, bodies)) <= STYLE_LIMIT else _effect(bodies)


def _effect(bodies: tuple[str, ...]) -> Style:
    declared = [_declared(body[:2000]) for body in bodies]
    found: Declarations = {}
    for ordinary, _ in declared:
        found.update(ordinary)
    for _, important in declared:
        found.update(important)
    effect = _style(found)
    return PLAIN if effect == PLAIN else effect


_kept_effect = lru_cache(maxsize=4096)(_effect)


def _style(found: Declarations) -> Style:
    size, relative = _size(found)
    background, picture = _background(found)
    visibility = found.get("visibility", "inherit")
    display = found.get("display", "")
    return Style(
        gone=display == "none" or _unseen_box(found),
        unseen=None if visibility == "inherit" else visibility in ("hidden", "collapse"),
        size=size,
        relative=relative,
        color=colors.color(found.get("-webkit-text-fill-color", found.get("color", ""))),
        background=background,
        picture=picture,
        display=display,
        white_space=found.get("white-space", ""),
    )


def _unseen_box(found: Declarations) -> bool:
    return (
        found.get("mso-hide") == "all"
        or found.get("content-visibility") == "hidden"
        or (_number(found.get("opacity")) <= 0.05)
        or _flat(found)
        or _far_away(found)
        or "scale(0)" in found.get("transform", "")
    )


def _flat(found: Declarations) -> bool:
    """Return whether a box is cut off to next to nothing."""
    if "hidden" not in (found.get("overflow", "") + found.get("overflow-x", "") + found.get("overflow-y", "")):
        return found.get("clip", "").replace(" ", "").startswith(("rect(0", "rect(1px,1px")) or found.get(
            "clip-path", ""
        ).replace(" ", "") in ("inset(50%)", "inset(100%)", "circle(0)", "circle(0px)")
    return any(_pixels(found.get(name)) <= _LEAST for name in ("width", "height", "max-width", "max-height"))


def _far_away(found: Declarations) -> bool:
    moved = ["text-indent", "margin-left", "margin-top"]
    if found.get("position") in ("absolute", "fixed", "relative"):
        moved += ["left", "top"]
        if any(_pixels(found.get(name)) <= -_FAR for name in ("right", "bottom")):
            return True
    return any(_pixels(found.get(name)) <= -_FAR for name in moved)


def _number(value: str | None) -> float:
    found = _LENGTH.match(value) if value else None
    if not found:
        return 1e9
    return float(found[1]) / (100 if found[2] == "%" else 1)


def _pixels(value: str | None) -> float:
    """Return a length in pixels; one that is unknown counts as large."""
    found = _LENGTH.match(value) if value else None
    if not found:
        return 1e9
    number = float(found[1])
    if found[2] == "%":
        return number * SCREEN_WIDTH / 100 if number else 0.0
    return number * _PIXELS.get(found[2] or "px", 16.0)


def _size(found: Declarations) -> tuple[float | None, bool]:
    value = found.get("font-size")
    if value is None:
        short = _LENGTH.search(found.get("font", "").partition("/")[0])
        value = short[0] if short and (short[2] or float(short[1]) == 0) else ""
    if value in _WORDS:
        return _READABLE, False
    number = _LENGTH.match(value)
    if not number:
        return None, False
    if number[2] in ("em", "%", "ex"):
        return max(0.0, float(number[1])) / (100 if number[2] == "%" else 1), True
    return _READABLE if (pixels := _pixels(value)) > _LEAST else max(0.0, pixels), False


def _background(found: Declarations) -> tuple[colors.Color | None, bool]:
    short = found.get("background", "")
    picture = "url(" in short or "gradient(" in short or found.get("background-image", "none") not in ("none", "")
    if "background-color" in found:
        return colors.color(found["background-color"]), picture
    whole = colors.color(short) if short else None
    if whole is None and short and not picture:
        whole = next((c for c in map(colors.color, short.split()) if c is not None), None)
    return whole, picture
