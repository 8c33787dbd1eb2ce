"""Text that others wrote, made safe to print: one line, printable, bounded in length."""

TEXT_CHARACTERS = 200
"""Characters that are kept of a text by default."""
_LEAST_CHARACTERS = 4


def one_line(text: object, limit: int = TEXT_CHARACTERS) -> str:
    """Return a text for logs, terminals, pages and commit messages.

    White space becomes single spaces. Anything else that is not printable (control and format characters, lone
    surrogates) becomes a question mark, so that no text can start a line, colour a terminal or turn its direction.

    Args:
        text: Of anybody's making; what is no string is converted to one.
        limit: Characters at most, 4 or more; what is cut off is shown by an ellipsis.
    """
    limit = max(limit, _LEAST_CHARACTERS)
    # Twice the limit is enough to fill it: splitting a megabyte would be work for nothing.
    words = " ".join(str(text)[: 2 * limit + 1].split())
    shown = "".join(character if character.isprintable() else "?" for character in words)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def is_plain(text: object, limit: int = TEXT_CHARACTERS) -> bool:
    """Return whether a text is one line of 1 to `limit` printable characters, without spaces at its ends."""
    return isinstance(text, str) and 0 < len(text) <= limit and text.isprintable() and text == text.strip()


def printable(text: object, limit: int) -> str:
    """Return a text as `one_line` does, but with its spaces as they are: for lines that are aligned by them."""
    shown = "".join(character if character.isprintable() else "?" for character in str(text)[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
