"""Offline comparison: both models on the same mails of the corpus, each scored by a fit that had not seen the mail."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evidence.check import Check, check, unproven
from evidence.models import Side
from evidence.pairs import AucDifference, ErrorDifference, Flags, Floats, delong, mcnemar
from evidence.thresholds import Thresholds

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Offline:
    """Result of the comparison on the corpus."""

    spam: Flags
    candidate: Floats
    """Out-of-fold scores [n] of the candidate."""
    production: Floats
    auc: AucDifference
    errors: ErrorDifference
    """Errors of each model at its own threshold."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
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
    wrong = [(side.scores >= of.manifest.threshold) != spam for side, of in ((ours, candidate), (theirs, production))]
    area = delong(spam, ours.scores, theirs.scores, CONFIDENCE, margin)
    return Offline(spam, ours.scores, theirs.scores, area, mcnemar(*wrong))


_SAME = (
    "train both versions with one trainer on one corpus (make train), upload and pin them; or allow it in the"
    " thresholds: require_offline: false"
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
        f"AUC {auc.candidate:.5f} against {auc.production:.5f}, difference {auc.difference:+.5f}"
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
