"""Other mail formats, recognised so that an error message can say how to convert them."""

import os
import re
from pathlib import Path

ONE_FILE_A_MAIL = "save each mail as a file of its own"
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".zst", ".rar")
TABLES = (".csv", ".tsv", ".xls", ".xlsx", ".parquet", ".jsonl", ".ndjson")
MAILBOXES = (".mbox", ".mbx", ".pst", ".ost", ".olm", ".dbx")
HEAD_BYTES = 1 << 16
_SEPARATOR = re.compile(rb"^From \S+ .*\d\d:\d\d.* (?:19|20)\d\d", re.MULTILINE)


def refusal_of_file(path: Path, head: bytes) -> str:
    """Return what a file is if it is not a single mail, and what to do; empty if it may be a mail.

    Args:
        head: The first `HEAD_BYTES` of the file.
    """
    suffix = path.suffix.lower()
    if suffix in ARCHIVES or head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "is an archive, which is not unpacked here: unpack it"
    if suffix in TABLES:
        return f"is a table (CSV and the like), which is not taken yet: {ONE_FILE_A_MAIL}"
    if suffix in MAILBOXES or _is_mbox(head):
        return f"is a mailbox of many mails (mbox and the like), which is not taken yet: {ONE_FILE_A_MAIL}"
    return ""


def is_maildir(folder: Path) -> bool:
    """Return whether a folder is laid out as a Maildir."""
    return all(os.path.isdir(folder / name) for name in ("cur", "new"))


def _is_mbox(head: bytes) -> bool:
    # One separator at the very beginning is the envelope of a single mail, as in the SpamAssassin corpus.
    separators = [match.start() for match in _SEPARATOR.finditer(head)]
    after_a_blank_line = [at for at in separators if head[:at].endswith((b"\n\n", b"\r\n\r\n"))]
    return separators[:1] == [0] and bool(after_a_blank_line)
