"""Stores of files on disk or in S3; each file is written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from pyarrow import ArrowException, fs

from inferencelog.errors import LogError, StoreError
from inferencelog.text import one_line

CONNECT_SECONDS = 3.0
ATTEMPTS = 2
ERROR_CHARACTERS = 1_000


class Store(Protocol):
    """Files under one URI. Paths are relative to it and use `/`; every method may raise StoreError."""

    def write(self, path: str, data: bytes) -> None:
        """Write a file, whole or not at all, replacing one of the same path."""

    def read(self, path: str) -> bytes:
        """Return the content of a file."""

    def open(self, path: str) -> Any:
        """Open a file for reading parts of it: a context manager, and a file object for pyarrow."""

    def files(self, folder: str) -> list[str]:
        """Return the paths of the files in a folder, sorted; empty if the folder is missing."""

    def folders(self, folder: str) -> list[str]:
        """Return the paths of the folders in a folder, sorted; empty if the folder is missing."""

    def entries(self, folder: str) -> list[tuple[str, str]]:
        """Return the sorted paths of everything in a folder, each with the reason why it is no readable file, or ""."""

    def uri(self, path: str = "") -> str:
        """Return the URI of a file, for a person."""


def open_store(uri: str) -> Store:
    """Return the store at `file:///…`, a plain path, or `s3://bucket/prefix`.

    S3 takes credentials, region and endpoint from the variables that every S3 client knows: AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.

    Raises:
        LogError: If the URI is of neither kind.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, unquote(parts.path).strip("/"))
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        return FolderStore(Path(unquote(parts.path)))
    if not parts.scheme and uri:
        return FolderStore(Path(uri))
    raise LogError(f"{uri!r} is no place for files; expected file:///folder or s3://bucket/prefix")


def split_file(uri: str) -> tuple[Store, str]:
    """Return the store that holds a file, and the file's name in it."""
    folder, _, name = uri.rpartition("/")
    if not name:
        raise LogError(f"{uri!r} names a folder; expected a file")
    return open_store(folder or ("/" if uri.startswith("/") else ".")), name


_ODD = {fs.FileType.File: "", fs.FileType.Directory: "is a folder"}


def _base_name(info: fs.FileInfo) -> tuple[str, str]:
    """Return a name, and the reason why it cannot be used for reading; "" if it can."""
    try:
        return info.base_name, ""
    except UnicodeDecodeError as error:
        return error.object.decode(errors="backslashreplace"), "has a name that is no UTF-8"


class _ArrowStore:
    """Common part of both kinds of store, over Arrow's file systems."""

    def __init__(self, files: fs.FileSystem, root: str, uri: str) -> None:
        self._fs = files
        self._root = root
        self._uri = uri

    def uri(self, path: str = "") -> str:
        return f"{self._uri}/{path}" if path else self._uri

    def read(self, path: str) -> bytes:
        try:
            with self._fs.open_input_stream(self._path(path)) as stream:
                return bytes(stream.read())
        except (OSError, ArrowException) as error:
            raise self._error("read", path, error) from error

    def open(self, path: str) -> Any:
        try:
            return self._fs.open_input_file(self._path(path))
        except (OSError, ArrowException) as error:
            raise self._error("read", path, error) from error

    def files(self, folder: str) -> list[str]:
        return self._list(folder, fs.FileType.File)

    def folders(self, folder: str) -> list[str]:
        return self._list(folder, fs.FileType.Directory)

    def entries(self, folder: str) -> list[tuple[str, str]]:
        named = [(*_base_name(info), info.type) for info in self._infos(folder)]
        return sorted((f"{folder}/{name}", odd or _ODD.get(kind, "is no regular file")) for name, odd, kind in named)

    def _list(self, folder: str, kind: fs.FileType) -> list[str]:
        named = [_base_name(info) for info in self._infos(folder) if info.type == kind]
        return sorted(f"{folder}/{name}" for name, odd in named if not odd)

    def _infos(self, folder: str) -> list[fs.FileInfo]:
        try:
            found: list[fs.FileInfo] = self._fs.get_file_info(fs.FileSelector(self._path(folder), allow_not_found=True))
        except (OSError, ArrowException) as error:
            raise self._error("list", folder, error) from error
        return found

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _error(self, what: str, path: str, error: Exception) -> StoreError:
        return StoreError(one_line(f"cannot {what} {self.uri(path)}: {error}", ERROR_CHARACTERS))


class FolderStore(_ArrowStore):
    """Store in a folder on disk."""

    def __init__(self, root: Path) -> None:
        self._folder = root.absolute()
        super().__init__(fs.LocalFileSystem(), str(self._folder), self._folder.as_uri())

    @property
    def folder(self) -> Path:
        """Return the folder's path."""
        return self._folder

    def read(self, path: str) -> bytes:
        """Return the content of a file, which must be a regular one."""
        self._check_kind(path)
        return super().read(path)

    def open(self, path: str) -> Any:
        """Open a file, which must be a regular one, for reading parts of it."""
        self._check_kind(path)
        return super().open(path)

    def _check_kind(self, path: str) -> None:
        # Opening a pipe would wait for its writer, and reading a device may never end.
        if (self._folder / path).exists() and not (self._folder / path).is_file():
            raise StoreError(f"cannot read {self.uri(path)}: it is no regular file")

    def write(self, path: str, data: bytes) -> None:
        """Write a file in one step."""
        target = self._folder / path
        # No reader looks for this name. It lies in the same folder, because only there a rename is atomic.
        partial = target.with_name(f".{target.name}.{uuid4().hex}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_through(partial, data)
            partial.replace(target)
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            raise self._error("write", path, error) from error


class S3Store(_ArrowStore):
    """Store under a prefix in a bucket. S3 guarantees that an object appears only once all of it has arrived."""

    def __init__(self, bucket: str, prefix: str) -> None:
        root = f"{bucket}/{prefix}".rstrip("/")
        super().__init__(_s3(), root, f"s3://{root}")

    def write(self, path: str, data: bytes) -> None:
        """Write an object in one request, or in parts that count only once all have arrived."""
        try:
            with self._fs.open_output_stream(self._path(path)) as stream:
                stream.write(data)
        except (OSError, ArrowException) as error:
            raise self._error("write", path, error) from error


def _s3() -> fs.S3FileSystem:
    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "")
    if endpoint.netloc:
        # The SDK asks for a checksum in answers by default, which servers other than Amazon's may refuse.
        os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
    return fs.S3FileSystem(
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        scheme=endpoint.scheme or "https",
        endpoint_override=endpoint.netloc or None,
        connect_timeout=CONNECT_SECONDS,
        # Send one request for each object, so that an error comes from the write that caused it. Callers retry by
        # themselves.
        allow_delayed_open=True,
        background_writes=False,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )


def _write_through(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
