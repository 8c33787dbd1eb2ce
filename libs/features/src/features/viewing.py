"""View of a source: most of its tags cannot hide anything, and only the elements that can are followed."""

from collections import Counter

from features import colors, css
from features.sight import BLACK, BREAKS, KEEPING, LINK_BLUE, WHITE, Looks, Sight
from features.tags import KNOWN_LENGTH, Tag, Tokens
from features.tree import VOID_CLOSING, Look, Tree, role_of

COLOR_LIMIT = 100
"""Most different colours of a source that are compared with each other; with more, each element is followed."""


def view(tokens: Tokens, looks: Looks, counts: Counter[Tag]) -> tuple[list[str], list[str]]:
    """Return the texts that are shown, with marks between lines, and those that are hidden."""
    different = _different(looks, counts)
    followed = None if _strays(named(counts)) else _followed(different)
    quick = None if followed is None else _quick(tokens, different, followed)
    return quick or Tree().read(tokens, different)[:2]


def _different(looks: Looks, counts: Counter[Tag]) -> dict[Tag, Look]:
    """Return the looks of all tags; those of common length are kept."""
    kept = looks.kept
    found: dict[Tag, Look] = {}
    for tag in counts:
        look = kept.get(tag)
        if look is None:
            style, mark = looks.of(tag)
            look = (style, mark, role_of(tag, style))
            if len(tag.attributes) <= KNOWN_LENGTH:
                if len(kept) >= looks.limit:
                    kept.clear()
                kept[tag] = look
        found[tag] = look
    return found


def named(counts: Counter[Tag]) -> Counter[str]:
    """Return how many tags of each name there are."""
    names: Counter[str] = Counter()
    for tag, count in counts.items():
        names[tag.name] += count
    return names


def _strays(counts: Counter[str]) -> bool:
    """Return whether a block has more ends than starts: a browser ignores the others, and they part nothing."""
    return any(
        name[:1] == "/" and name in BREAKS and count > counts[name[1:]] and name not in ("/p", "/br")
        for name, count in counts.items()
    )


def _followed(different: dict[Tag, Look]) -> dict[Tag, Sight] | None:
    """Return the tags whose elements have to be followed, each with what is around; None if all have to be."""
    alike = _alike({look[0].color for look in different.values()}, {look[0].background for look in different.values()})
    if alike is None:
        return None
    found: dict[Tag, Sight] = {}
    for tag, (style, mark, role) in different.items():
        if role <= VOID_CLOSING:
            continue
        if style.color in alike and style.color != colors.CLEAR and not _covers(style.background, style.picture):
            return None
        if style.color in alike or _changes(tag.name, style) or (style.display and mark != BREAKS[tag.name]):
            found[tag] = Sight(color=None, background=None)
    return found


def _changes(name: str, style: css.Style) -> bool:
    """Return whether an element can hide its text, whatever the colours, or keeps its line ends."""
    tiny = style.size is not None and style.size <= 1
    return style.gone or bool(style.unseen) or tiny or style.white_space.startswith("pre") or name in KEEPING


def _covers(background: colors.Color | None, picture: bool) -> bool:
    return picture or background not in (None, colors.CLEAR)


def _alike(front: set[colors.Color | None], back: set[colors.Color | None]) -> set[colors.Color | None] | None:
    """Return the colours of letters that are also one of a background; None if the usual ones are among them."""
    back = back - {None, colors.CLEAR}
    if len(front) > COLOR_LIMIT or len(back) > COLOR_LIMIT:
        return None
    if any(colors.same(usual, color) for color in back for usual in (BLACK, LINK_BLUE)):
        return None
    return {one for one in front if one is not None and any(colors.same(one, other) for other in (*back, WHITE))}


def _quick(
    tokens: Tokens, different: dict[Tag, Look], followed: dict[Tag, Sight]
) -> tuple[list[str], list[str]] | None:
    marks = {tag: look[1] for tag, look in different.items()}
    pieces = [""] * (2 * len(tokens.tags))
    pieces[::2] = map(marks.__getitem__, tokens.tags)
    pieces[1::2] = tokens.texts
    if not followed:
        return pieces, []
    shown: list[str] = []
    hidden: list[str] = []
    done = 0
    for at in [at for at, tag in enumerate(tokens.tags) if tag in followed]:
        if at < done:
            continue
        tag = tokens.tags[at]
        tree = Tree(followed[tag], tag.name)
        inner, unseen, end = tree.read(tokens, different, at)
        if tree.lost:
            return None
        shown += pieces[2 * done : 2 * at]
        shown += inner
        hidden += unseen
        # The text behind the element's end belongs to what is around it.
        shown.append(tokens.texts[end] if tree.closed else "")
        done = end + 1
    return shown + pieces[2 * done :], hidden
