"""The decision: which measures of the current mail differ from the baseline's, beyond chance and by enough to matter.

Each feature and the score are tested by Kolmogorov and Smirnov's two-sample test, shares of mail by Fisher's exact
test, as alibi-detect computes them.

Over all tests together the chance of a false alarm is held by a weighted Bonferroni inequality (Rosenthal and Rubin
1983; Genovese, Roeder and Wasserman 2006): with weights w that sum to 1, rejecting where p / w < rate keeps the chance
of any false rejection below `rate`, however the measures depend on each other. The weights follow from what has to be
seen, not from a search. A changed share of spam matters most and shows least: at 1,000 rows a rise from 31 to 40 %
lies five standard errors away, so the measure that sees it best has three quarters of the rate. What changes the form
of mail moves features by dozens of standard errors, to which the fourth or fifth that a small weight asks for make no
difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.alibi import FETDrift, KSDrift
from drift.limits import Limits
from inferencelog import SCORE

LIKELY_SPAM = "likely_spam"
"""The measure that is 1 for a mail that is more likely spam than not, else 0.

It follows the share of spam more closely than `PREDICTED_SPAM`, whose threshold lets a part of the spam pass so that
hardly any ham is lost.
"""
PREDICTED_SPAM = "predicted_spam"
"""The measure that is 1 for a mail that is called spam, else 0."""
LIKELY = 0.5
"""The lowest score of `LIKELY_SPAM`."""

WEIGHTS = {LIKELY_SPAM: 0.75, PREDICTED_SPAM: 0.05, SCORE: 0.1}
FEATURES_WEIGHT = 0.1
"""For all features together, in equal parts."""

Values = NDArray[Any]
"""[n], FP32 or FP64, finite."""
Columns = Mapping[str, Values]
"""Each feature and `SCORE` -> its values [n]."""


@dataclass(frozen=True, slots=True)
class Change:
    """How one measure differs from the baseline."""

    measure: str
    test: str
    distance: float
    """0 to 1. Of values, the largest difference of the shares up to any value (Kolmogorov and Smirnov's D); of
    `LIKELY_SPAM` and `PREDICTED_SPAM`, the difference of the shares."""
    p_value: float
    """Adjusted for all tests: to be compared with the false alarm rate, whatever the measure."""
    weight: float
    """The part of the false alarm rate that this measure may use up."""
    drifted: bool


def shares(threshold: float) -> dict[str, float]:
    """The measures that are shares of mail -> the lowest score that counts."""
    return {LIKELY_SPAM: LIKELY, PREDICTED_SPAM: threshold}


def compare(baseline: Columns, current: Columns, threshold: float, limits: Limits) -> list[Change]:
    """Test every column and the shares.

    Args:
        threshold: The lowest score that is called spam.

    Returns:
        A change for each measure: the shares, the score, then the features in `current`'s order.
    """
    features = [name for name in current if name != SCORE]
    found = []
    for measure, least in shares(threshold).items():
        found.append(_share_change(measure, baseline[SCORE] >= least, current[SCORE] >= least, limits))
    for name in [SCORE, *features]:
        weight = WEIGHTS.get(name, FEATURES_WEIGHT / max(1, len(features)))
        found.append(_value_change(name, baseline[name], current[name], weight, limits))
    return found


def _share_change(measure: str, baseline: Values, current: Values, limits: Limits) -> Change:
    # alibi-detect's statistic is the odds ratio, which does not say how much mail is concerned.
    p_value, _ = _tested(FETDrift(baseline.astype(np.int64), alternative="two-sided"), current.astype(np.int64))
    distance = abs(float(current.mean()) - float(baseline.mean()))
    return _change(measure, "Fisher", distance, p_value, WEIGHTS[measure], limits)


def _value_change(measure: str, baseline: Values, current: Values, weight: float, limits: Limits) -> Change:
    p_value, distance = _tested(KSDrift(baseline), current)
    return _change(measure, "Kolmogorov-Smirnov", distance, p_value, weight, limits)


def _tested(detector: KSDrift | FETDrift, current: Values) -> tuple[float, float]:
    """The detector's p-value and statistic."""
    found = detector.predict(current, drift_type="feature")["data"]
    return float(found["p_val"][0]), float(found["distance"][0])


def _change(measure: str, test: str, distance: float, p_value: float, weight: float, limits: Limits) -> Change:
    adjusted = min(1.0, p_value / weight)
    drifted = adjusted < limits.false_alarm_rate and distance >= limits.minimum_change
    return Change(measure, test, distance, adjusted, weight, drifted)
