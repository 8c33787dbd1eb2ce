"""Offline comparison: both models on the same mails, each scored by a fit that had not seen the mail."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus import CorpusError
from evidence.check import Check, check, unproven
from evidence.errors import EvidenceError
from evidence.evaluation.models import EvaluatedModel, open_saved
from evidence.evaluation.scores import LabelledMails, ModelScores, Progress, score
from evidence.models import Side
from evidence.pairs import AucDifference, ErrorDifference, Flags, Floats, delong, mcnemar
from evidence.thresholds import Thresholds
from inferencelog import LogError

CONFIDENCE = 0.95
THE_CORPUS = "the corpus"
"""Name of the mails that both models were trained on."""
LEAST_MAILS = 100
"""Fewest mails of each kind for a comparison on mail of its own: on fewer, hardly any candidate is found worse."""


@dataclass(frozen=True, slots=True)
class Offline:
    """Result of the comparison."""

    on: str
    """Name of the mails, for people."""

    spam: Flags
    candidate: Floats
    """Scores [n] of the candidate, out of fold for mail that it learned from."""
    production: Floats
    auc: AucDifference
    errors: ErrorDifference
    """Errors of each model at the threshold that it has in the target environment."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "on": self.on,
            "mails": len(self.spam),
            "auc": {**asdict(self.auc), "difference": self.auc.difference},
            "errors": asdict(self.errors),
        }


def compare_offline(candidate: Side, production: Side, margin: float) -> Offline | str:
    """Compare out-of-fold scores, or return the reason why the two bundles cannot be compared.

    Args:
        candidate: Model that is to be promoted.
        production: Model that it is to replace.
        margin: Amount by which the candidate's AUC may be lower.
    """
    ours, theirs = candidate.scored, production.scored
    for side, scored in ((candidate, ours), (production, theirs)):
        if scored is None:
            return f"the bundle of {side.environment}, {side.version}, has no evaluation.parquet"
    assert ours is not None and theirs is not None
    if ours.corpus_digest != theirs.corpus_digest:
        return f"trained on other corpora, {ours.corpus_digest[:12]} and {theirs.corpus_digest[:12]}"
    if ours.mails != theirs.mails or not np.array_equal(ours.spam, theirs.spam):
        return "the bundles say that they are of one corpus, and name other mails or kinds of them"
    if not np.array_equal(ours.folds, theirs.folds):
        return "evaluated on other folds: what one model had learned from the other had not"
    spam = ours.spam.astype(bool)
    wrong = [(side.scores >= of.threshold) != spam for side, of in ((ours, candidate), (theirs, production))]
    area = delong(spam, ours.scores, theirs.scores, CONFIDENCE, margin)
    return Offline(THE_CORPUS, spam, ours.scores, theirs.scores, area, mcnemar(*wrong))


def compare_on(
    root: Path, candidate: Side, production: Side, saved: Path | None, margin: float, progress: Progress
) -> Offline | str:
    """Compare both models on labelled mail, whatever they were trained on, or return the reason why not.

    Args:
        root: Labelled mail in any form that training takes.
        candidate: Model that is to be promoted, loaded.
        production: Model that it is to replace, loaded.
        saved: Folder of an earlier evaluation on the same mail, in place of the model it is of.
        margin: Amount by which the candidate's AUC may be lower.
        progress: Called with a line every two seconds.
    """
    try:
        models = [_model(side, saved) for side in (candidate, production)]
        mails, (ours, theirs) = score(root, models, progress)
    except (EvidenceError, CorpusError, LogError) as error:
        return str(error)
    counts = {"ham": int((~mails.spam).sum()), "spam": int(mails.spam.sum())}
    for kind, count in counts.items():
        if count < LEAST_MAILS:
            return f"{mails.path} has {count} {kind} mails; a comparison needs {LEAST_MAILS} or more of each kind"
    area = delong(mails.spam, ours.scores, theirs.scores, CONFIDENCE, margin)
    wrong = [side.called != mails.spam for side in (ours, theirs)]
    return Offline(_named(mails, ours, theirs), mails.spam, ours.scores, theirs.scores, area, mcnemar(*wrong))


def _model(side: Side, saved: Path | None) -> EvaluatedModel:
    if saved is not None and (model := open_saved(saved)).sha256 == side.sha256:
        # The release has the threshold that counts.
        return replace(model, threshold=side.threshold)
    if isinstance(side.model, EvaluatedModel):
        return replace(side.model, threshold=side.threshold)
    raise EvidenceError(f"{side.environment}: {side.model}")


def _named(mails: LabelledMails, ours: ModelScores, theirs: ModelScores) -> str:
    learned = f" (learned from {ours.learned} by the candidate and {theirs.learned} by production, scored out of fold)"
    return f"{mails}{learned if ours.learned or theirs.learned else ''}"


_SAME = (
    "compare them on labelled mail that neither learned from (make evidence EVALUATE_ON=…), or train both versions with"
    " one trainer on one corpus; or allow it in the thresholds: require_offline: false"
)
_WORSE = "do not promote; look for what changed in corpus, features or settings, and train anew"


def check_offline(found: Offline | str, thresholds: Thresholds) -> list[Check]:
    """Return checks of whether the candidate is significantly worse."""
    asked = f"not worse at one-sided alpha {thresholds.alpha:g}"
    if isinstance(found, str):
        return [unproven("offline", thresholds.require_offline, f"not compared: {found}", asked, _SAME)]
    auc, errors = found.auc, found.errors
    margin = f", beyond a margin of {thresholds.auc_margin:g}" if thresholds.auc_margin else ""
    area = (
        f"on {found.on}: AUC {auc.candidate:.5f} against {auc.production:.5f}, difference {auc.difference:+.5f}"
        f" (95 % {auc.interval[0]:+.5f} to {auc.interval[1]:+.5f}), p {auc.p_worse:.3g}"
    )
    mistakes = (
        f"{errors.candidate_only} mails wrong only by the candidate, {errors.production_only} only by production,"
        f" {errors.both} by both, p {errors.p_worse:.3g}"
    )
    return [
        check("offline AUC (DeLong)", auc.p_worse >= thresholds.alpha, area, f"{asked}{margin}", _WORSE),
        check("offline errors (McNemar)", errors.p_worse >= thresholds.alpha, mistakes, asked, _WORSE),
    ]
