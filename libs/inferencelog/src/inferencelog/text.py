"""Foreign text made safe to print: one line, printable, limited in length."""

TEXT_CHARACTERS = 200
"""Most characters that are kept of a text by default."""
_LEAST_CHARACTERS = 4


def one_line(text: object, limit: int = TEXT_CHARACTERS) -> str:
    """Return a text for logs, terminals, pages and commit messages.

    White space becomes single spaces. Every other unprintable character becomes a question mark: control and format
    characters, and lone surrogates. No text can then start a line, colour a terminal or change its writing direction.

    Args:
        text: Text from anybody; other objects are converted to one.
        limit: Most characters, 4 or more; an ellipsis marks where text is cut off.
    """
    limit = max(limit, _LEAST_CHARACTERS)
    # Twice the limit is enough to fill it, and splitting a whole megabyte would be wasted work.
    words = " ".join(str(text)[: 2 * limit + 1].split())
    shown = "".join(character if character.isprintable() else "?" for character in words)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def is_plain(text: object, limit: int = TEXT_CHARACTERS) -> bool:
    """Return whether a text is one line of 1 to `limit` printable characters, without spaces at its ends."""
    return isinstance(text, str) and 0 < len(text) <= limit and text.isprintable() and text == text.strip()


def printable(text: object, limit: int) -> str:
    """Return a text as `one_line` does, but keep its spaces: for lines that are aligned by them."""
    shown = "".join(character if character.isprintable() else "?" for character in str(text)[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
