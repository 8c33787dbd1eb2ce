"""Mails of a run: real ones, the same every time."""

from pathlib import Path

COUNT = 400
SIZE_CAP = 4500
"""Most bytes of a mail; longer ones are left out. The mean of the rest is about 2.8 kB in the SpamAssassin corpus."""


def sample(corpus: Path, count: int = COUNT, size_cap: int = SIZE_CAP) -> list[str]:
    """Return mails at even steps through all files of up to `size_cap` bytes, ordered by folder and name."""
    files = [file for file in sorted(corpus.glob("*/*")) if file.is_file() and 0 < file.stat().st_size <= size_cap]
    if len(files) < count:
        raise SystemExit(f"{corpus}: {len(files)} mails of up to {size_cap} bytes in its folders, {count} are needed")
    chosen = [files[(2 * n + 1) * len(files) // (2 * count)] for n in range(count)]
    return [_text(file.read_bytes()) for file in chosen]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
