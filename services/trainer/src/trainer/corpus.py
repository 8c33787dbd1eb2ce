"""A corpus as the trainer needs it: the features of all mails."""

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import features
from corpus import Digest, find_mails, read_mail
from trainer import excerpts

MINIMUM = 25
"""Mails of each kind, five a fold; below that a fold says nothing."""


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
    mail_digests: list[str]
    """SHA-256 (hex) of each mail [n]."""

    @property
    def ham_count(self) -> int:
        """How many mails are ham."""
        return len(self.spam) - self.spam_count

    @property
    def spam_count(self) -> int:
        """How many mails are spam."""
        return int(self.spam.sum())


def read_corpus(root: Path) -> Corpus:
    """Extract the features of all mails and of an excerpt of each; holds one raw mail at a time.

    Raises:
        CorpusError: No such folder, a folder that is neither ham nor spam, or too few mails of a kind.
    """
    mails = find_mails(root, MINIMUM)
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
    return Corpus(*_columns(found), spam, *_columns(short), digest.hexdigest(), digests)


def _columns(found: list[features.Features]) -> tuple[list[str], NDArray[np.float64]]:
    return [mail.text for mail in found], np.array([mail.values for mail in found])
