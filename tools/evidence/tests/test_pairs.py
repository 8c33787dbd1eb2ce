"""Tests of statistics against slow references and known values."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from evidence.pairs import Flags, Floats, delong, mcnemar, quantile_ratios, wilson


def by_definition(spam: Flags, candidate: Floats, production: Floats) -> tuple[float, float, float]:
    """Return both areas and the variance of their difference over all pairs of mails: equations 4 to 6 of DeLong
    (1988)."""

    def above(one: float, other: float) -> float:
        return 1.0 if one > other else 0.5 if one == other else 0.0

    areas, v10, v01 = [], [], []
    for scores in (candidate, production):
        positive, negative = scores[spam], scores[~spam]
        won = np.array([[above(x, y) for y in negative] for x in positive])
        areas.append(float(won.mean()))
        v10.append(won.mean(axis=1))
        v01.append(won.mean(axis=0))
    s = np.cov(v10) / len(v10[0]) + np.cov(v01) / len(v01[0])
    contrast = np.array([1, -1])
    return areas[0], areas[1], float(contrast @ s @ contrast)


@pytest.mark.parametrize(("seed", "levels"), [(0, None), (1, None), (2, 5)])
def test_delong_is_that_of_the_definition(seed: int, levels: int | None) -> None:
    random = np.random.default_rng(seed)
    spam = random.random(70) < 0.4
    candidate, production = (spam * random.uniform(0.5, 1.5) + random.normal(size=70) for _ in range(2))
    if levels:  # many ties
        candidate, production = (np.round(scores * levels / 4) for scores in (candidate, production))
    ours, theirs, variance = by_definition(spam, candidate, production)
    found = delong(spam, candidate, production, 0.95)
    assert (found.candidate, found.production) == pytest.approx((ours, theirs), abs=1e-12)
    assert found.candidate == pytest.approx(roc_auc_score(spam, candidate), abs=1e-12)
    assert found.standard_error**2 == pytest.approx(variance, rel=1e-9)
    assert found.p_worse == pytest.approx(stats.norm.cdf((ours - theirs) / variance**0.5))
    assert found.interval == pytest.approx(tuple((ours - theirs) + z * variance**0.5 for z in (-1.959964, 1.959964)))


def test_delong_of_the_same_scores_is_no_difference() -> None:
    spam, scores = np.array([True, True, False, False]), np.array([0.9, 0.4, 0.5, 0.1])
    found = delong(spam, scores, scores, 0.95)
    assert (found.difference, found.standard_error, found.p_worse) == (0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="1 spam and 3 ham"):
        delong(np.array([True, False, False, False]), scores, scores, 0.95)


def test_delong_finds_worse_by_chance_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    spam = np.repeat([True, False], 100)
    values = []
    for _ in range(1000):
        shared = spam * 1.0 + random.normal(size=200)
        sides = [shared + random.normal(size=200) for _ in range(2)]
        values.append(delong(spam, sides[0], sides[1], 0.95).p_worse)
    # A share of 0.05 of 1000 has a standard error of 0.007.
    assert 0.025 < np.mean(np.array(values) < 0.05) < 0.08


def test_mcnemar_counts_and_tests_exactly() -> None:
    # Of 10 discordant mails 9 are the candidate's: (10 + 1) / 2^10.
    candidate = np.array([True] * 9 + [False] + [True] * 3 + [False] * 20)
    production = np.array([False] * 9 + [True] + [True] * 3 + [False] * 20)
    found = mcnemar(candidate, production)
    assert (found.candidate_only, found.production_only, found.both) == (9, 1, 3)
    assert found.p_worse == pytest.approx(11 / 1024)
    assert mcnemar(production, candidate).p_worse == pytest.approx(1023 / 1024)
    assert mcnemar(candidate, candidate).p_worse == 1.0


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(count: int, of: int, low: float, high: float) -> None:
    assert wilson(count, of, 0.95) == pytest.approx((low, high), abs=5e-5)
    assert wilson(of - count, of, 0.95) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_ratios_of_known_quantiles_hold_the_truth() -> None:
    random = np.random.default_rng(4)
    production = random.lognormal(-4, 0.3, 3000)
    candidate = 1.5 * random.lognormal(-4, 0.3, 3000)
    median, tail = quantile_ratios(candidate, production, np.arange(3000), (0.5, 0.99), 0.95)
    for found in (median, tail):
        assert found.ratio == pytest.approx(found.candidate / found.production)
        assert found.interval[0] < 1.5 < found.interval[1]
    assert median.interval[1] - median.interval[0] < tail.interval[1] - tail.interval[0] < 0.5


def test_mails_of_one_request_are_no_independent_times() -> None:
    random = np.random.default_rng(5)
    candidate, production = (np.repeat(random.lognormal(-4, 0.3, 60), 50) for _ in range(2))
    alone, together = (
        quantile_ratios(candidate, production, groups, (0.5,), 0.95)[0].interval
        for groups in (np.arange(3000), np.repeat(np.arange(60), 50))
    )
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])


def test_ties_count_half_in_every_pair() -> None:
    spam = np.array([True, True, False, False])
    for scores in product((0.0, 1.0), repeat=4):
        found = delong(spam, np.array(scores), np.array([0.9, 0.8, 0.2, 0.1]), 0.95)
        assert found.candidate == pytest.approx(roc_auc_score(spam, scores))
