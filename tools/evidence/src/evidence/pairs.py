"""Statistics of two models that have answered the same mails."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class AucDifference:
    """Areas under two ROC curves over the same mails."""

    candidate: float
    production: float
    standard_error: float
    """Standard error of the difference."""
    interval: Interval
    """Interval of candidate - production, at the requested confidence."""
    p_worse: float
    """One-sided p-value: the chance of so low a candidate if its area were production's less the margin."""

    @property
    def difference(self) -> float:
        """Return candidate - production; negative for a candidate that is worse."""
        return self.candidate - self.production


def delong(spam: Flags, candidate: Floats, production: Floats, confidence: float, margin: float = 0.0) -> AucDifference:
    """Compare two correlated ROC curves without assumptions about the scores' distribution.

    The method is that of DeLong, DeLong and Clarke-Pearson, Comparing the Areas under Two or More Correlated Receiver
    Operating Characteristic Curves, Biometrics 44 (1988) 837-845. Midranks compute it in n log n, as in Sun and Xu,
    IEEE Signal Processing Letters 21 (2014) 1389-1393. It assumes independent mails.

    Args:
        spam: Which mails are spam [n]; two or more of each kind.
        candidate: Scores of the candidate [n].
        production: Scores of production [n].
        confidence: Confidence of the interval, 0 to 1.
        margin: Amount by which the candidate's area may be lower.

    Raises:
        ValueError: If there are fewer than two mails of a kind.
    """
    if min(spam.sum(), (~spam).sum()) < 2:
        raise ValueError(f"{spam.sum()} spam and {(~spam).sum()} ham; two of each are needed")
    parts = [auc_components(spam, scores) for scores in (candidate, production)]
    ours, theirs = (float(of_spam.mean()) for of_spam, _ in parts)
    # The variance of the difference is a sum over both kinds of mail: the variance of their components' differences.
    of_spam, of_ham = (parts[0][kind] - parts[1][kind] for kind in (0, 1))
    error = math.sqrt(of_spam.var(ddof=1) / len(of_spam) + of_ham.var(ddof=1) / len(of_ham))
    difference = ours - theirs
    reach = float(stats.norm.ppf(0.5 + confidence / 2)) * error
    return AucDifference(
        ours, theirs, error, (difference - reach, difference + reach), _p_below(difference + margin, error)
    )


def _p_below(difference: float, error: float) -> float:
    if error == 0:
        return 0.0 if difference < 0 else 1.0
    return float(stats.norm.cdf(difference / error))


def auc_components(spam: Flags, scores: Floats) -> tuple[Floats, Floats]:
    """Return the share of ham below each spam mail, and the share of spam above each ham mail; ties count half."""
    positive, negative = scores[spam], scores[~spam]
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    of_spam = (ranks[: len(positive)] - stats.rankdata(positive)) / len(negative)
    of_ham = 1 - (ranks[len(positive) :] - stats.rankdata(negative)) / len(positive)
    return of_spam, of_ham


@dataclass(frozen=True, slots=True)
class ErrorDifference:
    """Counts of mails that one model or both are wrong about."""

    candidate_only: int
    production_only: int
    both: int
    p_worse: float
    """One-sided p-value: the chance of so many errors of the candidate alone if each were as likely the other's."""


def mcnemar(candidate_wrong: Flags, production_wrong: Flags) -> ErrorDifference:
    """Compare errors on the same mails [n] by the exact test of McNemar, Psychometrika 12 (1947) 153-157.

    If the models were equally good, each would make half of the errors that only one of them makes: a binomial test.
    """
    candidate_only = int((candidate_wrong & ~production_wrong).sum())
    production_only = int((production_wrong & ~candidate_wrong).sum())
    discordant = candidate_only + production_only
    p_worse = float(stats.binom.sf(candidate_only - 1, discordant, 0.5)) if discordant else 1.0
    return ErrorDifference(candidate_only, production_only, int((candidate_wrong & production_wrong).sum()), p_worse)


def wilson(count: int, of: int, confidence: float) -> Interval:
    """Return the score interval of a share: Wilson, Journal of the American Statistical Association 22 (1927) 209-212.

    Args:
        count: Number of successes.
        of: Number of independent trials, 1 or more.
        confidence: Confidence of the interval, 0 to 1.
    """
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    share = count / of
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    reach = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    # With no successes or only successes, the bound is exactly 0 or 1; rounding could miss it.
    return (0.0 if count == 0 else middle - reach, 1.0 if count == of else middle + reach)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Quantile of the candidate's seconds divided by the same quantile of production's."""

    quantile: float
    candidate: float
    production: float
    ratio: float
    interval: Interval


RESAMPLES = 1000
_ROWS = 50_000
"""Most rows of one resample. It limits the time: for more mails the interval is as wide as for this many."""


def quantile_ratios(
    candidate: Floats, production: Floats, groups: NDArray[Any], quantiles: tuple[float, ...], confidence: float
) -> list[Ratio]:
    """Return ratios of quantiles with percentile intervals of a bootstrap over groups.

    The method is that of Davison and Hinkley 1997, 2.4 and 3.8. Mails of one request share their time, so drawing them
    one by one would overstate their number.

    Args:
        candidate: Seconds [n], above 0.
        production: Seconds [n], above 0.
        groups: Request of each mail [n].
        quantiles: Quantiles, each 0 to 1.
        confidence: Confidence of the intervals, 0 to 1.
    """
    random = np.random.default_rng(0)
    _, members = np.unique(groups, return_inverse=True)
    asked = list(quantiles)
    draws = _resampled(candidate, production, members, asked, random)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    figures = zip(asked, np.quantile(candidate, asked), np.quantile(production, asked), low, high, strict=True)
    return [
        Ratio(quantile, float(ours), float(theirs), float(ours / theirs), (float(least), float(most)))
        for quantile, ours, theirs, least, most in figures
    ]


def _resampled(
    candidate: Floats,
    production: Floats,
    members: NDArray[np.intp],
    quantiles: list[float],
    random: np.random.Generator,
) -> Floats:
    """Return resampled ratios [RESAMPLES, quantiles]."""
    order = np.argsort(members, kind="stable")
    count = int(members.max()) + 1
    starts, sizes = np.searchsorted(members[order], np.arange(count)), np.bincount(members)
    draw = min(count, max(1, int(_ROWS / sizes.mean())))
    ratios = np.empty((RESAMPLES, len(quantiles)))
    for row in range(RESAMPLES):
        chosen = random.integers(0, count, draw)
        lengths = sizes[chosen]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        rows = order[np.repeat(starts[chosen], lengths) + within]
        ratios[row] = np.quantile(candidate[rows], quantiles) / np.quantile(production[rows], quantiles)
    return ratios
