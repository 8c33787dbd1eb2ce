"""Figures of one model on labelled mail."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evidence.evaluation.scores import ModelScores
from evidence.pairs import Flags, Floats, Interval, auc_components, wilson

CONFIDENCE = 0.95
SHARES = (0.001, 0.005, 0.01, 0.02, 0.05)
"""Shares of ham called spam in the sweep of thresholds."""
BINS = 10
"""Equal bins of probability, for calibration."""


@dataclass(frozen=True, slots=True)
class Share:
    """Count of mails and its share, with an interval by Wilson."""

    count: int
    of: int
    """Number of mails, 1 or more."""
    interval: Interval

    @classmethod
    def among(cls, flags: Flags) -> "Share | None":
        """Return the share of the flags that are set; None if there are no flags."""
        if not len(flags):
            return None
        count = int(flags.sum())
        return cls(count, len(flags), wilson(count, len(flags), CONFIDENCE))

    @property
    def share(self) -> float:
        """Return the share, 0 to 1."""
        return self.count / self.of


@dataclass(frozen=True, slots=True)
class Auc:
    """Area under the ROC curve, with an interval by DeLong on the logistic scale, which stays within 0 to 1."""

    area: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Step:
    """Threshold of the sweep, and what it catches."""

    limit: float
    """Largest share of ham that may be called spam."""
    threshold: float | None
    """Lowest score that no more ham reaches; None if no mail scores higher than the ham beyond the limit."""
    ham_called_spam: Share
    spam_caught: Share | None
    """None if there is no spam."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Mails whose probability lies in one bin."""

    mails: int
    mean_probability: float
    spam: Share


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one model. Those of a kind of mail that is missing are None."""

    auc: Auc | None
    ham_called_spam: Share | None
    """At the model's own threshold."""
    spam_caught: Share | None
    calibration_error: float
    """Mean distance of probability and share of spam over equal bins, 0 to 1 (Naeini et al. 2015)."""
    brier: float
    """Mean square of the distance of probability and kind, 0 to 1."""
    sweep: list[Step]
    """Empty if there is no ham."""
    bins: list[Bin]
    """Bins that hold any mail, in rising order."""


def figures(spam: Flags, found: ModelScores) -> Figures:
    """Return the figures of a model's scores for mails [n] of the kinds `spam` [n]."""
    scores = found.scores
    bins = _bins(spam, scores)
    return Figures(
        auc=_auc(spam, scores),
        ham_called_spam=Share.among(found.called[~spam]),
        spam_caught=Share.among(found.called[spam]),
        calibration_error=sum(each.mails * abs(each.spam.share - each.mean_probability) for each in bins) / len(spam),
        brier=float(((scores - spam) ** 2).mean()),
        sweep=[_step(spam, scores, limit) for limit in SHARES] if not spam.all() else [],
        bins=bins,
    )


def _auc(spam: Flags, scores: Floats) -> Auc | None:
    counts = int(spam.sum()), int((~spam).sum())
    if min(counts) < 2:
        return None
    of_spam, of_ham = auc_components(spam, scores)
    area = float(of_spam.mean())
    if area in (0.0, 1.0):
        # No mail is on the wrong side, so there is no variance: take the smaller kind as trials that all succeeded.
        low, high = wilson(round(area) * min(counts), min(counts), CONFIDENCE)
        return Auc(area, (low, high))
    error = math.sqrt(of_spam.var(ddof=1) / counts[0] + of_ham.var(ddof=1) / counts[1])
    reach = float(stats.norm.ppf(0.5 + CONFIDENCE / 2)) * error / (area * (1 - area))
    middle = math.log(area / (1 - area))
    return Auc(area, (_logistic(middle - reach), _logistic(middle + reach)))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0


def _step(spam: Flags, scores: Floats, limit: float) -> Step:
    ham = np.sort(scores[~spam])[::-1]
    above = scores[scores > ham[int(limit * len(ham))]]
    called = scores >= above.min() if len(above) else np.zeros(len(scores), bool)
    threshold = float(above.min()) if len(above) else None
    among_ham = Share.among(called[~spam])
    assert among_ham is not None
    return Step(limit, threshold, among_ham, Share.among(called[spam]))


def _bins(spam: Flags, scores: Floats) -> list[Bin]:
    place = np.minimum((scores * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        within = place == number
        if share := Share.among(spam[within]):
            found.append(Bin(share.of, float(scores[within].mean()), share))
    return found
