"""Files of a bundle's folder: only regular ones up to a size limit are read, and reading never waits."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from manifest.errors import BundleError

FILE_BYTES = 256 * 2**20
"""Most bytes of one file of a bundle; a model is held in memory twice while it is opened."""
CHUNK_BYTES = 2**20


def read_file(path: Path, limit: int = FILE_BYTES) -> bytes:
    """Return a file's content, read once.

    Raises:
        BundleError: If the file is missing, is not a regular file of its folder, or is larger than the limit.
    """
    with _opened(path, limit) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _too_large(path, limit)
    return content


def digest_file(path: Path, limit: int = FILE_BYTES) -> str:
    """Return a file's SHA-256 (hex) without holding its content; raises as `read_file`."""
    digest, size = hashlib.sha256(), 0
    with _opened(path, limit) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            # A file that grows while it is read might never end.
            if size > limit:
                raise _too_large(path, limit)
    return digest.hexdigest()


@contextmanager
def _opened(path: Path, limit: int) -> Iterator[BinaryIO]:
    try:
        # Opening a device may already have an effect, so check the kind first.
        _check(path, os.stat(path), limit)
        # The file may have become a pipe since the check, and opening a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _check(path, os.fstat(descriptor), limit)
            yield file
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); copy the bundle again") from None


def _check(path: Path, found: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise BundleError(f"{path} cannot be read (it is a folder); copy the bundle again")
    if not stat.S_ISREG(found.st_mode):
        raise BundleError(f"{path} is no regular file; it was not read: copy the bundle again")
    if found.st_size > limit:
        raise _too_large(path, limit)
    if path.is_symlink():
        _check_link(path)


def _check_link(path: Path) -> None:
    """Refuse a link out of the folder; volumes of Kubernetes consist of links within it."""
    target, folder = os.path.realpath(path), os.path.realpath(path.parent)
    if os.path.commonpath([target, folder]) != folder:
        raise BundleError(
            f"{path} is no regular file; it was not read: it links to {target}, which is not in the bundle's folder;"
            " copy the bundle again"
        )


def _too_large(path: Path, limit: int) -> BundleError:
    return BundleError(f"{path} is larger than {limit:,} bytes, the limit; copy the bundle again or train it anew")
