"""Forms of files in a corpus: a mail, many mails, or something that must be converted first."""

import json
import re
import stat
from pathlib import Path

from corpus import labels, mbox
from corpus.errors import CorpusError, shown
from corpus.kinds import FOLDERS_HINT
from corpus.mails import read_head
from corpus.streams import MAGIC, unpacked

HEAD_BYTES = 1 << 16
PACKED = (".gz", ".bz2", ".xz", ".zst")
FORMS = {".mbox": "mbox", ".jsonl": "json", ".ndjson": "json", ".csv": "table", ".tsv": "table"}
"""Forms of files that hold many mails, by the end of their names; `PACKED` may follow."""
ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")
SHEETS = (".xls", ".xlsx", ".ods", ".parquet")
MAILBOXES = (".mbx", ".pst", ".ost", ".olm", ".dbx")


def form_of(path: Path) -> str:
    """Return the form of a file: "mbox", "json" or "table"; empty if it may be a single mail.

    Raises:
        CorpusError: If the file is of a form that must be converted first, or if it cannot be read.
    """
    if form := _form_of_name(path):
        return form
    head = read_head(path, HEAD_BYTES)
    if what := _refusal(path, head):
        raise CorpusError(f"corpus file {shown(path)} {what}; the corpus must have {FOLDERS_HINT}")
    if mbox.is_separator(head):
        with unpacked(path) as source:
            return "mbox" if mbox.has_many(source) else ""
    return ""


def form_beside(path: Path) -> str:
    """Return the form of a file that lies beside the folders, where the name alone may not tell.

    Raises:
        CorpusError: As `form_of`, and for an array of JSON.
    """
    if form := form_of(path):
        return form
    head = read_head(path, HEAD_BYTES)
    if re.match(rb"(?i)\W{0,3}(?:ham|spam)\t", head):
        return "table"
    if re.match(rb"\s*\[\s*\{", head) and path.suffix == ".json":
        raise CorpusError(f"corpus file {shown(path)} is an array of JSON; write one object a line (jq -c '.[]')")
    return "json" if _is_labelled_json(head) else ""


def is_maildir(folder: Path) -> bool:
    """Return whether a folder is laid out as a Maildir."""
    return all(_is_folder(folder / name) for name in ("cur", "new"))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _form_of_name(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    inner = suffixes[:-1] if suffixes[-1:] and suffixes[-1] in PACKED else suffixes
    return FORMS.get(inner[-1], "") if inner else ""


def _refusal(path: Path, head: bytes) -> str:
    """Return what a file is if it must be converted first, and how; empty if it need not."""
    suffix = path.suffix.lower()
    if suffix in (*ARCHIVES, *PACKED) or head.startswith((b"PK\x03\x04", *MAGIC)):
        return "is an archive, which is not unpacked here: unpack it"
    if suffix in SHEETS:
        return "is a sheet of another program: save it as CSV in UTF-8"
    if suffix in MAILBOXES:
        return "is a mailbox of another program: export it as mbox or as one file a mail"
    return ""


def _is_labelled_json(head: bytes) -> bool:
    line, _, _ = head.partition(b"\n")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    names = list(found) if isinstance(found, dict) else []
    return None not in (labels.place(names, labels.LABELS), labels.place(names, labels.TEXTS))
