"""Mails of a run: real ones, the same every time."""

from pathlib import Path

from corpus import CorpusError, find_mails, read_mail

COUNT = 400
SIZE_CAP = 4500
"""Most bytes of a mail; longer ones are left out. The mean of the rest is about 2.8 kB in the SpamAssassin corpus."""


def sample(corpus: Path, count: int = COUNT, size_cap: int = SIZE_CAP) -> list[str]:
    """Return mails at even steps through all mails of up to `size_cap` bytes, in the order of `find_mails`."""
    try:
        mails = [mail for mail in find_mails(corpus, 0) if len(read_mail(mail)) <= size_cap]
    except CorpusError as error:
        raise SystemExit(str(error)) from None
    if len(mails) < count:
        raise SystemExit(f"{corpus}: {len(mails)} mails of up to {size_cap} bytes, {count} are needed")
    chosen = [mails[(2 * n + 1) * len(mails) // (2 * count)] for n in range(count)]
    return [_text(read_mail(mail)) for mail in chosen]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
