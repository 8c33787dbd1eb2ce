import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from trainer import evaluate, folds


def words(seed: int, count: int = 40) -> list[str]:
    return [f"w{n}" for n in np.random.default_rng(seed).choice(400, count, replace=False)]


def test_near_duplicates_share_a_group_and_others_do_not() -> None:
    first = words(1)
    near = [*first[:-2], "new", "newer"]
    chained = [*near[2:], "newest", "last"]
    far = [*first[:30], *(f"x{n}" for n in range(10))]
    texts = [" ".join(w) for w in (first, words(2), near, far, chained, words(3, 10))]
    groups = folds.near_duplicates(texts).tolist()
    assert groups[0] == groups[2] == groups[4]
    assert len({groups[0], groups[1], groups[3], groups[5]}) == 4


def test_groups_in_blocks_are_those_of_all_pairs() -> None:
    random = np.random.default_rng(5)
    texts = [" ".join(f"w{n}" for n in random.choice(26, random.integers(18, 25), replace=False)) for _ in range(700)]
    near = cosine_similarity(CountVectorizer(binary=True, analyzer=str.split).fit_transform(texts)) >= folds.SIMILARITY
    groups = folds.near_duplicates(texts)
    reach = near.copy()
    while not (wider := reach @ near).all() and (wider != reach).any():
        reach = wider
    expected = reach | wider
    assert ((groups[:, None] == groups[None, :]) == expected).all()


def test_no_group_in_two_folds_and_spam_in_each() -> None:
    random = np.random.default_rng(0)
    spam, groups = random.integers(0, 2, 300), random.integers(0, 90, 300)
    splits = folds.split(spam, groups)
    assert len(splits) == folds.FOLDS
    for train, test in splits:
        assert not set(groups[train]) & set(groups[test])
        assert 0.25 < spam[test].mean() < 0.75
    assert sorted(np.concatenate([test for _, test in splits])) == list(range(300))


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (0.0, 0.9),
        (0.25, 0.6),
        (0.5, 0.25),
        (0.75, 0.2),
    ],
)
def test_threshold_is_the_lowest_score_within_the_rate(rate: float, expected: float) -> None:
    spam = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    scores = np.array([0.1, 0.2, 0.5, 0.8, 0.25, 0.6, 0.9, 0.95])
    threshold = evaluate.threshold_at(spam, scores, rate)
    assert threshold == expected
    assert (scores[spam == 0] >= threshold).mean() <= rate


def test_ties_with_ham_do_not_break_the_rate() -> None:
    spam, scores = np.array([0, 0, 1, 1]), np.array([0.7, 0.7, 0.7, 0.8])
    assert evaluate.threshold_at(spam, scores, 0.5) == 0.8


def test_threshold_where_ham_scores_highest_is_one() -> None:
    assert evaluate.threshold_at(np.array([0, 1]), np.array([0.9, 0.2]), 0.001) == 1.0


def test_metrics_of_known_scores() -> None:
    spam = np.array([0, 0, 1, 1])
    found = evaluate.metrics(spam, np.array([0.1, 0.6, 0.4, 0.9]), [np.array([0, 2]), np.array([1, 3])])
    assert found["one_minus_auc"] == pytest.approx(0.25)
    assert found["one_minus_auc_by_fold"] == pytest.approx([0, 0])
    assert (found["spam_caught"], found["false_positive_rate"]) == (0.5, 0)
    assert found["brier_score"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert found["expected_calibration_error"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)
