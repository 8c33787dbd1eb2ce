"""Parts of a corpus for the end-to-end suite: two to train models on, and one to send, which no model has seen."""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from corpus import MailFile, find_mails, read_mail

PARTS = 9
SENT = range(3)
"""Numbers of the parts that are sent, of nine."""
TRAINED = {"few": range(4, PARTS), "more": range(3, PARTS)}
"""Numbers of the parts that models learn from; they differ, so that the models differ."""


def part(mail: MailFile) -> int:
    """Return the part that a mail belongs to by its content, so that copies of a mail share a part."""
    return hashlib.sha256(read_mail(mail)).digest()[0] % PARTS


def link(mails: list[MailFile], folder: Path) -> None:
    """Make a corpus of links to mails; a mail of a larger file is copied."""
    shutil.rmtree(folder, ignore_errors=True)
    for mail in mails:
        place = folder / ("spam" if mail.spam else "ham")
        place.mkdir(parents=True, exist_ok=True)
        target = place / mail.name.replace("/", "-").replace("#", "-")
        if mail.number:
            target.write_bytes(read_mail(mail))
        else:
            target.symlink_to(mail.path.resolve())


def line(mail: MailFile) -> str:
    """Return a mail as the load reads it."""
    return json.dumps({"content": read_mail(mail).decode("latin-1"), "spam": mail.spam})


def main() -> None:
    """Write the parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    parts = {mail: part(mail) for mail in find_mails(options.corpus, 1)}
    for name, wanted in TRAINED.items():
        link([mail for mail, number in parts.items() if number in wanted], options.out / "corpora" / name)
    sent = [line(mail) for mail, number in parts.items() if number in SENT]
    (options.out / "mails.jsonl").write_text("\n".join([*sent, ""]))


if __name__ == "__main__":
    main()
