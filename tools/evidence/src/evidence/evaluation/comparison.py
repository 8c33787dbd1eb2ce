"""Paired comparison of two models on the same mails, whatever they were trained on."""

from dataclasses import asdict, dataclass
from typing import Any

from scipy import stats

from evidence.evaluation.figures import CONFIDENCE
from evidence.evaluation.scores import ModelScores
from evidence.pairs import AucDifference, Flags, delong


@dataclass(frozen=True, slots=True)
class Discordant:
    """Mails of a group that only one of two models gets wrong, each at its own threshold."""

    first_only: int
    second_only: int
    p: float
    """Two-sided p-value of the exact McNemar test."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences of the first model from the second."""

    auc: AucDifference | None
    """None if there are fewer than two mails of a kind."""
    auc_p: float | None
    """Two-sided p-value of the difference."""
    ham: Discordant
    """Ham that is called spam."""
    spam: Discordant
    """Spam that is not caught."""

    def as_json(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        area = self.auc and {
            "first": self.auc.candidate,
            "second": self.auc.production,
            "difference": self.auc.difference,
            "interval": self.auc.interval,
            "p": self.auc_p,
        }
        return {"auc": area, "ham_called_spam": asdict(self.ham), "spam_missed": asdict(self.spam)}


def compare(spam: Flags, first: ModelScores, second: ModelScores) -> Comparison:
    """Compare two models on mails [n] by DeLong's test and, at each one's threshold, the exact test of McNemar."""
    area = delong(spam, first.scores, second.scores, CONFIDENCE) if min(spam.sum(), (~spam).sum()) > 1 else None
    wrong = [each.called != spam for each in (first, second)]
    return Comparison(
        area,
        _two_sided(area) if area else None,
        discordant(wrong[0][~spam], wrong[1][~spam]),
        discordant(wrong[0][spam], wrong[1][spam]),
    )


def discordant(first_wrong: Flags, second_wrong: Flags) -> Discordant:
    """Return the mails [n] that only one model gets wrong, with the p-value that each is as likely the other's."""
    first_only, second_only = int((first_wrong & ~second_wrong).sum()), int((second_wrong & ~first_wrong).sum())
    both = first_only + second_only
    p = float(stats.binomtest(first_only, both).pvalue) if both else 1.0
    return Discordant(first_only, second_only, p)


def _two_sided(found: AucDifference) -> float:
    if found.standard_error == 0:
        return 1.0 if found.difference == 0 else 0.0
    return float(2 * stats.norm.sf(abs(found.difference) / found.standard_error))
