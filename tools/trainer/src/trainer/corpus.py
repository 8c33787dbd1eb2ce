"""Training corpus: the features of all mails."""

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import features
from corpus import CorpusError, Digest, read_mail, shown, survey
from trainer import excerpts
from trainer.choice import MINIMUM


@dataclass(frozen=True, slots=True)
class Corpus:
    """Features of all mails of a corpus, n rows in the order of the file names."""

    texts: list[str]
    values: NDArray[np.float64]
    """Named numbers [n, k] in the order of `features.NAMES`."""
    spam: NDArray[np.int_]
    """1 for spam, 0 for ham [n]."""
    excerpt_texts: list[str]
    """Text of a short excerpt of each mail [n], for learning only: it is never scored as a mail of the corpus."""
    excerpt_values: NDArray[np.float64]
    """Named numbers of the excerpts [n, k]."""
    digest: str
    """SHA-256 (hex) over names, kinds and contents of all mails."""
    mail_digests: list[str]
    """SHA-256 (hex) of each mail [n]."""
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


def read_corpus(root: Path) -> Corpus:
    """Extract the features of all mails and of an excerpt of each, holding one raw mail at a time.

    Raises:
        CorpusError: If the folder is not a corpus, cannot be read, or has too few mails of a kind or too few with text.
    """
    found_files = survey(root, MINIMUM)
    mails = found_files.mails
    digest = Digest(root)
    chosen = random.Random(excerpts.SEED)
    found, short, digests = [], [], []
    for mail in mails:
        raw = read_mail(mail)
        digest.add(mail, raw)
        digests.append(hashlib.sha256(raw).hexdigest())
        found.append(features.extract(raw))
        short.append(features.extract(excerpts.excerpt(raw, chosen)))
    spam = np.array([mail.spam for mail in mails], dtype=np.int_)
    texts, values = _columns(found)
    _check_texts(root, texts, spam)
    return Corpus(texts, values, spam, *_columns(short), digest.hexdigest(), digests, found_files.remarks())


def _check_texts(root: Path, texts: list[str], spam: NDArray[np.int_]) -> None:
    for kind, label in (("ham", 0), ("spam", 1)):
        with_text = sum(bool(text.strip()) for text, each in zip(texts, spam, strict=True) if each == label)
        if with_text < MINIMUM:
            raise CorpusError(
                f"corpus {shown(root)} has {with_text} {kind} mails with any text and needs {MINIMUM} or more;"
                " add mails that have a subject or a text"
            )


def _columns(found: list[features.Features]) -> tuple[list[str], NDArray[np.float64]]:
    return [mail.text for mail in found], np.array([mail.values for mail in found])
