"""Drift decision: which measures of current mail differ from the baseline, beyond chance and by enough to matter.

alibi-detect computes the tests: Kolmogorov and Smirnov's two-sample test for each feature and the score, Fisher's exact
test for shares of mail.

A weighted Bonferroni inequality limits the chance of a false alarm over all tests together (Rosenthal and Rubin 1983;
Genovese, Roeder and Wasserman 2006). The weights w sum to 1, and a measure counts as changed where p / w < rate. The
chance of any false alarm is then below `rate`, however the measures depend on each other.

The weights follow from what must be detected, not from a search. A changed share of spam matters most and shows least:
at 1,000 rows a rise from 31 to 40 % is five standard errors. The measure that shows it best therefore has three
quarters of the rate. A changed form of mail moves features by dozens of standard errors. A small weight asks for only
the fourth or fifth of them, so it costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.alibi import FETDrift, KSDrift
from drift.limits import DriftLimits
from inferencelog import SCORE

LIKELY_SPAM = "likely_spam"
"""Measure that is 1 for a mail that is more likely spam than not, else 0.

It follows the share of spam more closely than `PREDICTED_SPAM`, whose threshold lets some spam pass so that hardly any
ham is lost.
"""
PREDICTED_SPAM = "predicted_spam"
"""Measure that is 1 for a mail that is called spam, else 0."""
LIKELY = 0.5
"""Lowest score at which `LIKELY_SPAM` is 1."""

WEIGHTS = {LIKELY_SPAM: 0.75, PREDICTED_SPAM: 0.05, SCORE: 0.1}
FEATURES_WEIGHT = 0.1
"""Weight of all features together, divided equally among them."""

Values = NDArray[Any]
"""Values of one measure [n], FP32 or FP64, finite."""
Columns = Mapping[str, Values]
"""Values [n] by name: each feature and `SCORE`."""


@dataclass(frozen=True, slots=True)
class Change:
    """Difference of one measure from the baseline."""

    measure: str
    test: str
    distance: float
    """Size of the difference, 0 to 1.

    For values it is the largest difference between the shares of mails up to any value (Kolmogorov and Smirnov's D).
    For `LIKELY_SPAM` and `PREDICTED_SPAM` it is the difference of the shares.
    """
    p_value: float
    """P-value adjusted for all tests, so that every measure is compared with the same false alarm rate."""
    weight: float
    """Part of the false alarm rate that this measure may use up."""
    drifted: bool


def shares(threshold: float) -> dict[str, float]:
    """Return, for each measure that is a share of mail, the lowest score that counts."""
    return {LIKELY_SPAM: LIKELY, PREDICTED_SPAM: threshold}


def compare(baseline: Columns, current: Columns, threshold: float, limits: DriftLimits) -> list[Change]:
    """Test every column and the shares, and return how each measure differs.

    Args:
        baseline: Columns of the baseline.
        current: Columns of the current mail.
        threshold: Lowest score that is called spam.
        limits: False alarm rate and least difference that matters.

    Returns:
        A change for each measure: the shares, the score, then the features in the order of `current`.
    """
    features = [name for name in current if name != SCORE]
    found = []
    for measure, least in shares(threshold).items():
        found.append(_share_change(measure, baseline[SCORE] >= least, current[SCORE] >= least, limits))
    for name in [SCORE, *features]:
        weight = WEIGHTS.get(name, FEATURES_WEIGHT / max(1, len(features)))
        found.append(_value_change(name, baseline[name], current[name], weight, limits))
    return found


def _share_change(measure: str, baseline: Values, current: Values, limits: DriftLimits) -> Change:
    # alibi-detect's statistic is the odds ratio, which does not say how much mail is affected.
    p_value, _ = _tested(FETDrift(baseline.astype(np.int64), alternative="two-sided"), current.astype(np.int64))
    distance = abs(float(current.mean()) - float(baseline.mean()))
    return _change(measure, "Fisher", distance, p_value, WEIGHTS[measure], limits)


def _value_change(measure: str, baseline: Values, current: Values, weight: float, limits: DriftLimits) -> Change:
    p_value, distance = _tested(KSDrift(baseline), current)
    return _change(measure, "Kolmogorov-Smirnov", distance, p_value, weight, limits)


def _tested(detector: KSDrift | FETDrift, current: Values) -> tuple[float, float]:
    """Return the detector's p-value and statistic."""
    found = detector.predict(current, drift_type="feature")["data"]
    return float(found["p_val"][0]), float(found["distance"][0])


def _change(measure: str, test: str, distance: float, p_value: float, weight: float, limits: DriftLimits) -> Change:
    adjusted = min(1.0, p_value / weight)
    drifted = adjusted < limits.false_alarm_rate and distance >= limits.minimum_change
    return Change(measure, test, distance, adjusted, weight, drifted)
