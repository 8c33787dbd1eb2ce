"""A corpus on disk: one folder a kind of mail, one file a mail."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import features
from trainer import excerpts
from trainer.errors import TrainerError

HAM_FOLDERS = ("ham*", "*-ham*")
SPAM_FOLDERS = ("spam*", "*-spam*")
FOLDERS_HINT = "folders named ham*, *-ham*, spam* or *-spam* with one file a mail"
MINIMUM = 25
"""Mails of each kind, five a fold; below that a fold says nothing."""
SIZE_LIMIT = 1 << 20
"""Bytes of one mail that are read, as much as the gateway takes."""
IGNORED_FILES = ("cmds", "*.json", "*.md")
"""What distributions of the SpamAssassin corpus put beside the mails."""


@dataclass(frozen=True, slots=True)
class MailFile:
    """One mail of a corpus."""

    path: Path
    spam: bool


@dataclass(frozen=True, slots=True)
class Corpus:
    """Features of all mails of a corpus, n rows in the order of the file names."""

    texts: list[str]
    values: NDArray[np.float64]
    """Named numbers [n, k] in the order of `features.NAMES`."""
    spam: NDArray[np.int_]
    """1 for spam, 0 for ham [n]."""
    excerpt_texts: list[str]
    """Of a short excerpt of each mail [n], to learn from and never to be judged as a mail of the corpus."""
    excerpt_values: NDArray[np.float64]
    """Named numbers of the excerpts [n, k]."""
    digest: str
    """SHA-256 (hex) over names, kinds and contents of all mails."""

    @property
    def ham_count(self) -> int:
        """How many mails are ham."""
        return len(self.spam) - self.spam_count

    @property
    def spam_count(self) -> int:
        """How many mails are spam."""
        return int(self.spam.sum())


def find_mails(root: Path) -> list[MailFile]:
    """List the mails of a corpus folder.

    Raises:
        TrainerError: No such folder, a folder that is neither ham nor spam, or too few mails of a kind.
    """
    if not root.is_dir():
        raise TrainerError(f"corpus folder {root} does not exist; set CORPUS_DIR or --corpus to {FOLDERS_HINT}")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    mails = [MailFile(path, spam) for folder in folders for spam in [_is_spam(folder)] for path in _files(folder)]
    for kind, spam in (("ham", False), ("spam", True)):
        count = sum(mail.spam is spam for mail in mails)
        if count < MINIMUM:
            raise TrainerError(f"corpus {root} has {count} {kind} mails and needs {MINIMUM} or more, in {FOLDERS_HINT}")
    return mails


def _is_spam(folder: Path) -> bool:
    name = folder.name.lower()
    ham, spam = (any(fnmatch(name, pattern) for pattern in kind) for kind in (HAM_FOLDERS, SPAM_FOLDERS))
    if ham == spam:
        raise TrainerError(f"corpus folder {folder} is not clearly ham or spam; the corpus must have {FOLDERS_HINT}")
    return spam


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and not any(fnmatch(path.name, p) for p in IGNORED_FILES):
            yield path


def read_mail(mail: MailFile) -> bytes:
    """The first `SIZE_LIMIT` bytes of a mail."""
    with mail.path.open("rb") as source:
        return source.read(SIZE_LIMIT)


def read_corpus(root: Path) -> Corpus:
    """Extract the features of all mails and of an excerpt of each; holds one raw mail at a time.

    Raises:
        TrainerError: See `find_mails`.
    """
    mails = find_mails(root)
    digest = hashlib.sha256()
    chosen = random.Random(excerpts.SEED)
    found, short = [], []
    for mail in mails:
        raw = read_mail(mail)
        digest.update(f"{mail.path.relative_to(root).as_posix()}\0{mail.spam}\0{len(raw)}\0".encode())
        digest.update(raw)
        found.append(features.extract(raw))
        short.append(features.extract(excerpts.excerpt(raw, chosen)))
    spam = np.array([mail.spam for mail in mails], dtype=np.int_)
    return Corpus(*_columns(found), spam, *_columns(short), digest.hexdigest())


def _columns(found: list[features.Features]) -> tuple[list[str], NDArray[np.float64]]:
    return [mail.text for mail in found], np.array([mail.values for mail in found])
