"""Files of a corpus as streams of bytes and lines, unpacked on the way."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from backports import zstd

from corpus.errors import CorpusError, shown, unreadable

LINE_LIMIT = 1 << 26
"""Most bytes of a line in a table: a mail of the largest size, escaped, and room."""
MAGIC: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x28\xb5\x2f\xfd": zstd.open,
}
"""Functions that unpack a file, by the bytes that it begins with."""


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """Yield the content of a file, unpacked if it is compressed.

    Raises:
        CorpusError: If the file cannot be read, or ends or breaks before its end.
    """
    try:
        with path.open("rb") as source:
            head = source.read(6)
            source.seek(0)
            unpack = next((each for magic, each in MAGIC.items() if head.startswith(magic)), None)
            yield cast(BinaryIO, unpack(source)) if unpack else source
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, zstd.ZstdError) as error:
        raise CorpusError(
            f"corpus file {shown(path)} is cut short or damaged ({error}); copy or pack it again"
        ) from None
    except OSError as error:
        if error.errno is None:  # bz2 reports damage in this way.
            raise CorpusError(
                f"corpus file {shown(path)} is cut short or damaged ({error}); copy or pack it again"
            ) from None
        raise unreadable(path, error) from None


def lines(source: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield lines with their ends.

    Raises:
        CorpusError: If a line is longer than `LINE_LIMIT`, or if the file is UTF-16.
    """
    number = 0
    while line := source.readline(LINE_LIMIT + 1):
        number += 1
        if len(line) > LINE_LIMIT:
            raise CorpusError(
                f"corpus file {shown(path)}, line {number} is longer than {LINE_LIMIT >> 20} MiB; split or remove it"
            )
        if number == 1:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise CorpusError(f"corpus file {shown(path)} is UTF-16; save it as UTF-8")
            line = line.removeprefix(b"\xef\xbb\xbf")
        yield line
