"""Scores of models for all mails of a labelled corpus."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import features
from corpus import Digest, MailFile, Survey, read_mail, shown, survey
from evidence.errors import EvidenceError
from evidence.evaluation.models import EvaluatedModel
from evidence.pairs import Flags, Floats

BATCH = 200
"""Mails scored at a time; only their texts are in memory together."""
PROGRESS_SECONDS = 2.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LabelledMails:
    """Labelled mails [n] that models were evaluated on."""

    path: Path
    digest: str
    """SHA-256 (hex) over names, kinds and contents, as training computes it."""
    mails: list[str]
    """SHA-256 (hex) of each mail [n]."""
    spam: Flags
    remarks: str
    """Line that says what was left out; empty if nothing was."""

    def __str__(self) -> str:
        """Return the corpus and its size for people."""
        return f"{shown(self.path)}, {len(self.spam):,} mails, {int(self.spam.sum()):,} spam"


@dataclass(frozen=True, slots=True)
class ModelScores:
    """Scores of one model."""

    model: EvaluatedModel
    scores: Floats
    """Spam probabilities [n]."""
    learned: int
    """Number of mails that the model learned from, for which the score is out of fold."""

    @property
    def called(self) -> Flags:
        """Return which mails the model calls spam at its own threshold [n]."""
        called: Flags = self.scores >= self.model.threshold
        return called


def score(root: Path, models: Sequence[EvaluatedModel], progress: Progress) -> tuple[LabelledMails, list[ModelScores]]:
    """Score every mail by every model.

    A mail that a model learned from gets the score of a fit that had not seen it, if its bundle has one.

    Args:
        root: Labelled mail in any form that training takes.
        models: Models to evaluate.
        progress: Called with a line every two seconds.

    Raises:
        CorpusError: If the mail cannot be read.
        EvidenceError: If there is none, or if saved scores lack some of it.
    """
    found = _survey(root, progress)
    if not found.mails:
        remarks = f" ({found.remarks()})" if found.skipped else ""
        raise EvidenceError(f"{shown(root)} has no mail{remarks}; name labelled mail by CORPUS_DIR")
    scores = np.empty((len(models), len(found.mails)))
    digest, mails = Digest(root), list[str]()
    for batch in _batches(found.mails, progress):
        raws = [read_mail(mail) for mail in batch]
        for mail, raw in zip(batch, raws, strict=True):
            digest.add(mail, raw)
        digests = [hashlib.sha256(raw).hexdigest() for raw in raws]
        scores[:, len(mails) : len(mails) + len(raws)] = _scored(raws, digests, models)
        mails += digests
    spam = np.array([mail.spam for mail in found.mails])
    labelled = LabelledMails(root, digest.hexdigest(), mails, spam, found.remarks())
    return labelled, [_checked(model, row, mails) for model, row in zip(models, scores, strict=True)]


def _survey(root: Path, progress: Progress) -> Survey:
    late = threading.Timer(PROGRESS_SECONDS, progress, [f"reading {shown(root)}"])
    late.start()
    try:
        return survey(root, 0)
    finally:
        late.cancel()


def _batches(mails: list[MailFile], progress: Progress) -> Iterator[list[MailFile]]:
    told = time.monotonic()
    for first in range(0, len(mails), BATCH):
        yield mails[first : first + BATCH]
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            progress(f"{min(first + BATCH, len(mails)):,} of {len(mails):,} mails")


def _scored(raws: list[bytes], digests: list[str], models: Sequence[EvaluatedModel]) -> Floats:
    """Return the scores of a batch [models, mails]; NaN where saved ones are missing."""
    found = [features.extract(raw) for raw in raws] if any(model.bundle for model in models) else []
    texts, values = [mail.text for mail in found], np.array([mail.values for mail in found])
    fresh = [model.bundle.score(texts, values) if model.bundle else np.full(len(raws), np.nan) for model in models]
    return np.array(
        [
            [model.known.get(digest, own) for digest, own in zip(digests, row, strict=True)]
            for model, row in zip(models, fresh, strict=True)
        ]
    )


def _checked(model: EvaluatedModel, scores: Floats, mails: list[str]) -> ModelScores:
    if missing := int(np.isnan(scores).sum()):
        raise EvidenceError(
            f"the saved scores of model {model.version} lack {missing:,} of {len(mails):,} mails;"
            " evaluate both models on the same mail"
        )
    return ModelScores(model, scores, sum(mail in model.known for mail in mails) if model.bundle else 0)
