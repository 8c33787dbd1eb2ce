"""Tests of what is drift and what is not."""

import numpy as np
import pytest
from conftest import SPAM, Columns, mails

import features
from drift.compare import FEATURES_WEIGHT, LIKELY_SPAM, PREDICTED_SPAM, WEIGHTS, Change, compare
from drift.limits import DriftLimits
from inferencelog import SCORE

LIMITS = DriftLimits(false_alarm_rate=0.001, minimum_change=0.02)
THRESHOLD = 0.9


def changes(baseline: Columns, current: Columns, limits: DriftLimits = LIMITS) -> dict[str, Change]:
    return {change.measure: change for change in compare(baseline, current, THRESHOLD, limits)}


def drifted(baseline: Columns, current: Columns, limits: DriftLimits = LIMITS) -> set[str]:
    return {name for name, change in changes(baseline, current, limits).items() if change.drifted}


def test_each_feature_the_score_and_both_shares_are_tested_within_the_rate() -> None:
    found = changes(mails(500, seed=1), mails(500, seed=2))
    assert set(found) == {*features.NAMES, SCORE, LIKELY_SPAM, PREDICTED_SPAM}
    assert sum(change.weight for change in found.values()) == pytest.approx(1)
    assert sum(WEIGHTS.values()) + FEATURES_WEIGHT <= 1 + 1e-12


def test_mail_of_the_same_kind_is_no_drift() -> None:
    assert not any(drifted(mails(4_000, seed=1), mails(1_000, seed=seed)) for seed in range(2, 22))


def test_more_spam_is_seen_in_the_shares_and_the_score() -> None:
    found = drifted(mails(4_000, seed=1), mails(1_000, spam=0.5, seed=2))
    assert found >= {LIKELY_SPAM, PREDICTED_SPAM, SCORE}


def test_less_spam_is_seen_too() -> None:
    assert LIKELY_SPAM in drifted(mails(4_000, seed=1), mails(1_000, spam=SPAM / 2, seed=2))


def test_a_changed_feature_is_seen_by_its_name_alone() -> None:
    current = mails(1_000, seed=2)
    current["links"] = np.zeros_like(current["links"])
    assert drifted(mails(4_000, seed=1), current) == {"links"}


def test_distances_are_what_they_are_said_to_be() -> None:
    baseline, current = mails(4_000, seed=1), mails(1_000, seed=2)
    baseline["links"], current["links"] = np.repeat([0, 1], 2_000), np.repeat([0, 1], [250, 750])
    baseline[SCORE], current[SCORE] = np.repeat([0.0, 0.5, 0.9], [2_000, 1_000, 1_000]), np.repeat([0.4, 0.9], 500)
    found = changes(baseline, current)
    assert found["links"].distance == pytest.approx(0.25)
    assert (found[LIKELY_SPAM].distance, found[PREDICTED_SPAM].distance) == pytest.approx((0.0, 0.25))


def test_p_values_are_adjusted_so_that_one_limit_holds_for_all() -> None:
    baseline, current = mails(4_000, seed=1), mails(1_000, seed=2)
    # A single measure with all the weight would show it; among 38 features it is not beyond chance.
    current["links"] = baseline["links"][:1_000] + np.repeat([0, 500], [920, 80])
    change = changes(baseline, current)["links"]
    assert LIMITS.false_alarm_rate < change.p_value < 1
    assert change.p_value * change.weight < LIMITS.false_alarm_rate
    assert not change.drifted


def test_a_difference_too_small_to_matter_is_no_drift_however_certain() -> None:
    baseline, current = mails(100_000, seed=1), mails(100_000, seed=2)
    current["links"] = current["links"].copy()
    current["links"][:1_500] += 500
    change = changes(baseline, current)["links"]
    assert change.p_value < LIMITS.false_alarm_rate and change.distance < 0.02 and not change.drifted
    assert changes(baseline, current, DriftLimits(0.001, 0.0))["links"].drifted


def test_constant_columns_and_single_values_are_compared() -> None:
    baseline, current = mails(1_000, seed=1), mails(1_000, seed=2)
    for columns in (baseline, current):
        columns["images"] = np.zeros(1_000, np.float32)
        columns["parts"] = np.ones(1_000, np.float32)
    found = changes(baseline, current)
    assert all((found[name].distance, found[name].p_value) == (0, 1) for name in ("images", "parts"))
    current["parts"] = np.full(1_000, 2, np.float32)
    assert changes(baseline, current)["parts"].distance == 1 and drifted(baseline, current) == {"parts"}


def test_no_spam_at_all_on_both_sides_is_no_drift() -> None:
    baseline, current = mails(1_000, spam=0, seed=1), mails(1_000, spam=0, seed=2)
    found = changes(baseline, current)
    assert (found[PREDICTED_SPAM].distance, found[PREDICTED_SPAM].p_value) == (0, 1)
