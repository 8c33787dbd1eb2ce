"""Kinds of mail, read from the names of a corpus's folders."""

import re

KINDS = ("ham", "spam")
FOLDERS_HINT = (
    "folders whose names say ham or spam and nothing that leaves doubt (ham, spam_2, easy-ham-1, Spam.2024), with one"
    " file a mail"
)
ENDINGS = ("", "s", "mail", "mails", "email", "emails", "box", "folder", "messages", "corpus")
"""Endings that may follow "ham" or "spam" within a word."""
DOUBTS = (
    "not no non none nor anti un never without free less minus except former formerly was were ex maybe perhaps "
    "probably probable possibly possible likely unlikely suspected suspect unsure uncertain unknown unclear unsorted "
    "unlabeled unlabelled mixed false reported both or and vs versus fp fn wrong wrongly mis misclassified missed isn "
    "isnt aint kein keine nicht removed cleaned fake"
)
"""Words that may invert or blur the meaning of "ham" or "spam" beside them."""
_DOUBTS = frozenset(DOUBTS.split())


def kind_of(name: str) -> str | None:
    """Return "ham" or "spam" according to a folder's name; None if it says neither or both, or leaves doubt."""
    if "?" in name:
        return None
    words = re.findall(r"[^\W\d_]+", name.lower())
    if not _DOUBTS.isdisjoint(words):
        return None
    found = {_kind_of_word(word) for word in words if any(kind in word for kind in KINDS)}
    return found.pop() if len(found) == 1 else None


def _kind_of_word(word: str) -> str | None:
    return next((kind for kind in KINDS for ending in ENDINGS if word == kind + ending), None)
