"""Kinds of mail, read from the names of a corpus's folders and mailboxes."""

import re
import unicodedata

KINDS = {"ham": "ham", "spam": "spam", "junk": "spam"}
"""Kind by the word that names it; mail programs say "junk"."""
FOLDERS_HINT = (
    "folders whose names say ham or spam and nothing that leaves doubt (ham, spam_2, easy-ham-1, Spam.2024), with one"
    " file a mail; or mailboxes named so (ham.mbox, spam.mbox), a Maildir, or tables with a label (.csv, .jsonl, also"
    " .gz, .bz2, .xz, .zst)"
)
ENDINGS = ("", "s", "mail", "mails", "email", "emails", "box", "folder", "messages", "corpus")
"""Endings that may follow "ham" or "spam" within a word."""
DOUBTS = (
    "not no non none nor anti un never without free less minus except former formerly was were ex maybe perhaps "
    "probably probable possibly possible potential potentially likely unlikely suspected suspect suspicious unsure "
    "uncertain unknown unclear unsorted unlabeled unlabelled mixed false reported both or and vs versus fp fn wrong "
    "wrongly mis misclassified missed isn isnt aint kein keine nicht ohne oder und pas sans sin senza geen niet ikke "
    "inte removed cleaned fake almost nearly borderline doubtful presumed alleged check todo pending tbd "
    "pseudo quasi like lookalike out rescued recovered released appeals"
)
"""Words that may invert or blur the meaning of "ham" or "spam" beside them."""
_DOUBTS = frozenset(DOUBTS.split())
_SIGNS = frozenset("?!=~%¬≠")
"""Signs that negate, ask or assign a value: `spam=0` is ham."""


_OF_NO_KIND = frozenset(
    {
        *("sent", "sent mail", "sent messages", "sent items", "outbox", "queue", "unsent messages"),
        *("drafts", "templates", "trash", "deleted messages", "deleted items", "archive", "archives"),
    }
)


def kind_of(name: str) -> str | None:
    """Return "ham" or "spam" according to a folder's name; None if it says neither or both, or leaves doubt."""
    name = unicodedata.normalize("NFKC", name)
    if not _SIGNS.isdisjoint(name):
        return None
    words = re.findall(r"[^\W\d_]+", name.lower())
    if not _DOUBTS.isdisjoint(words):
        return None
    found = {_kind_of_word(word) for word in words if any(kind in word for kind in KINDS)}
    return found.pop() if len(found) == 1 else None


def kind_of_mailbox(name: str) -> str | None:
    """Return the kind of a Maildir or mbox by its name; an inbox alone is ham, as its spam lies in another."""
    kind = kind_of(name)
    return "ham" if kind is None and _stem(name) == "inbox" else kind


def is_of_no_kind(name: str) -> bool:
    """Return whether a mailbox has the name that mail programs give to sent mail, drafts and the like."""
    return _stem(name) in _OF_NO_KIND


def _stem(name: str) -> str:
    return re.sub(r"\.(gz|bz2|xz|zst)$", "", name.lower()).removesuffix(".mbox").removeprefix(".")


def _kind_of_word(word: str) -> str | None:
    return next((kind for name, kind in KINDS.items() for ending in ENDINGS if word == name + ending), None)
