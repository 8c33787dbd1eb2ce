"""Training corpus: the features of all mails."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

import features
from corpus import CorpusError, Digest, MailFile, read_mail, shown, survey
from trainer.choice import MINIMUM


@dataclass(frozen=True, slots=True)
class Corpus:
    """Features of all mails of a corpus, n rows in the order of the file names."""

    texts: list[str]
    values: NDArray[np.float64]
    """Named numbers [n, k] in the order of `features.NAMES`."""
    spam: NDArray[np.int_]
    """1 for spam, 0 for ham [n]."""
    digest: str
    """SHA-256 (hex) over names, kinds and contents of all mails."""
    mail_digests: list[str]
    """SHA-256 (hex) of each mail [n]."""
    mails: Sequence[bytes] = ()
    """Raw mails [n]."""
    remarks: str = ""
    """Line that says what was left out of the folder; empty if nothing was."""

    @property
    def ham_count(self) -> int:
        """Return the number of ham mails."""
        return len(self.spam) - self.spam_count

    @property
    def spam_count(self) -> int:
        """Return the number of spam mails."""
        return int(self.spam.sum())


@dataclass(frozen=True, slots=True)
class RawMails(Sequence[bytes]):
    """Raw mails of a corpus, each read from its file when it is taken."""

    files: Sequence[MailFile]

    def __len__(self) -> int:
        """Return the number of mails."""
        return len(self.files)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        """Return one raw mail, or several."""
        if isinstance(place, slice):
            return [read_mail(each) for each in self.files[place]]
        return read_mail(self.files[place])


def read_corpus(root: Path) -> Corpus:
    """Extract the features of all mails, holding one raw mail at a time.

    Raises:
        CorpusError: If the folder is not a corpus, cannot be read, or has too few mails of a kind or too few with text.
    """
    found_files = survey(root, MINIMUM)
    mails = found_files.mails
    digest = Digest(root)
    found, digests = [], []
    for mail in mails:
        raw = read_mail(mail)
        digest.add(mail, raw)
        digests.append(hashlib.sha256(raw).hexdigest())
        found.append(features.extract(raw))
    spam = np.array([mail.spam for mail in mails], dtype=np.int_)
    texts, values = [mail.text for mail in found], np.array([mail.values for mail in found])
    _check_texts(root, texts, spam)
    raw_mails = RawMails(mails)
    return Corpus(texts, values, spam, digest.hexdigest(), digests, raw_mails, found_files.remarks())


def _check_texts(root: Path, texts: list[str], spam: NDArray[np.int_]) -> None:
    for kind, label in (("ham", 0), ("spam", 1)):
        with_text = sum(bool(text.strip()) for text, each in zip(texts, spam, strict=True) if each == label)
        if with_text < MINIMUM:
            raise CorpusError(
                f"corpus {shown(root)} has {with_text} {kind} mails with any text and needs {MINIMUM} or more;"
                " add mails that have a subject or a text"
            )
