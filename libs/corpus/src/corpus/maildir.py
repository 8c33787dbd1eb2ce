"""Maildir, with the subfolders of Maildir++: one file a mail in `cur` and `new`, flags at the end of its name."""

from pathlib import Path

from corpus.mails import flags, unique_name

OWN_FOLDERS = ("cur", "new", "tmp")


def order(path: Path) -> str:
    """Return the key that sorts the mails of a Maildir, which stays when a mail is read."""
    return unique_name(path.name)


def reason_to_skip(name: str) -> str:
    """Return why a mail is no example of its folder's kind; empty if it is one.

    Whoever deletes a mail in the inbox may mean that it is spam, and a draft is mail that nobody received.
    """
    found = flags(name)
    return "marked as deleted" if "T" in found else "drafts" if "D" in found else ""
