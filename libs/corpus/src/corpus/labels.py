"""Names of columns and values of labels in tables of mails."""

from collections.abc import Sequence

LABELS = ("label", "spam", "class", "category", "Spam/Ham", "is_spam", "v1")
"""Columns that say the kind, the first one found; letter case and signs do not count."""
TEXTS = ("mail", "text", "message", "email_content", "body", "content", "email", "email_text", "v2")
"""Columns that hold the mail, the first one found. `v1` and `v2` are those of Kaggle's copy of the UCI SMS corpus."""
SUBJECTS = ("subject",)
SPAM_VALUES = ("spam", "junk", "1", "1.0", "true")
HAM_VALUES = ("ham", "0", "0.0", "false", "not spam", "notspam", "non-spam", "nonspam", "legitimate")


def place(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return the position of the first wanted name; None if there is none."""
    plain = [_plain(name) for name in names]
    return next((plain.index(name) for name in map(_plain, wanted) if name in plain), None)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def is_spam(value: object) -> bool | None:
    """Return what a label says; None if its value is not known."""
    text = str(value).strip().lower()
    return True if text in SPAM_VALUES else False if text in HAM_VALUES else None


def known_values() -> str:
    """Return the known labels for an error message."""
    return f"known: {', '.join(SPAM_VALUES)} for spam, {', '.join(HAM_VALUES)} for ham"


def known_columns() -> str:
    """Return the known columns for an error message."""
    return f"known: {', '.join(LABELS)} for the label, {', '.join(TEXTS)} for the mail, subject"


def as_mail(text: str, subject: str | None = None) -> bytes:
    """Return a text as the bytes of a mail, with its subject if it has one.

    Raises:
        UnicodeEncodeError: If the text holds half a surrogate pair.
    """
    head = f"Subject: {' '.join(subject.split())}\n\n" if subject is not None else ""
    return (head + text).encode()
