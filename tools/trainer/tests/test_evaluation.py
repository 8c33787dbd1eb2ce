import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics.pairwise import cosine_similarity

import features
from trainer import evaluate, folds, model
from trainer.augment import Rows
from trainer.threshold import ThresholdChoice


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
    found = evaluate.metrics(spam, np.array([0.1, 0.6, 0.4, 0.9]), [np.array([0, 2]), np.array([1, 3])], 0.5)
    assert found["one_minus_auc"] == pytest.approx(0.25)
    assert found["one_minus_auc_by_fold"] == pytest.approx([0, 0])
    assert (found["spam_caught"], found["false_positive_rate"]) == (0.5, 0.5)
    assert found["spam_caught_at_one_in_a_thousand"] == 0.5
    assert found["brier_score"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert found["expected_calibration_error"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)


MAILS, TEMPLATES = 100, 20


def made_up() -> Rows:
    """Return mails in groups of four, a copy of each in reverse order, and two copies of each template.

    The first number of a row is its place.
    """
    spam, groups = np.arange(MAILS) % 2, np.arange(MAILS) // 4
    origins = np.concatenate([np.arange(MAILS), np.arange(MAILS)[::-1], MAILS + np.arange(2 * TEMPLATES) // 2])
    values = np.zeros((len(origins), len(features.NAMES)))
    values[:, 0] = np.arange(len(origins))
    return Rows(
        texts=[""] * len(origins),
        values=values,
        spam=np.concatenate([spam, np.arange(TEMPLATES) % 2])[origins],
        groups=np.concatenate([groups, MAILS + np.arange(TEMPLATES)])[origins],
        weights=np.ones(len(origins)),
        kinds=["mail"] * MAILS + ["excerpt"] * MAILS + ["template"] * 2 * TEMPLATES,
        origins=origins,
    )


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[Rows]:
    """Return the rows of each fit; margins are random, and larger for spam."""
    found: list[Rows] = []
    random = np.random.default_rng(0).normal(size=2 * MAILS + 2 * TEMPLATES)

    def margins(fitted: Rows, rows: Rows) -> NDArray[np.float64]:
        assert fitted is found[-1] and not set(fitted.groups) & set(rows.groups)
        margin: NDArray[np.float64] = random[rows.values[:, 0].astype(int)] + 2 * rows.spam
        return margin

    def learn(rows: Rows) -> Rows:
        found.append(rows)
        return rows

    monkeypatch.setattr(model, "learn", learn)
    monkeypatch.setattr(model, "margins", margins)
    return found


def test_copies_and_templates_are_left_out_with_their_group(learned: list[Rows]) -> None:
    rows = made_up()
    found = evaluate.evaluate(rows, lambda _: None)
    assert len(learned) == folds.FOLDS
    assert sum(len(rows) - len(each) for each in learned) == len(rows) == len(found.margins)
    held = evaluate.fold_of_rows(rows)
    assert (held[:MAILS] == found.folds).all()
    assert (held[MAILS : 2 * MAILS] == found.folds[::-1]).all()
    assert all(len(set(held[rows.groups == group])) == 1 for group in set(rows.groups.tolist()))
    assert np.bincount(held[2 * MAILS :]).tolist() == [8] * 5


@pytest.mark.usefixtures("learned")
def test_the_figures_are_of_mails_and_the_threshold_of_all_ham() -> None:
    rows = made_up()
    found = evaluate.evaluate(rows, lambda _: None, ThresholdChoice(0.1))
    assert len(found.scores) == MAILS
    spam = rows.spam[:MAILS]
    assert found.metrics["one_minus_auc"] == evaluate.metrics(spam, found.scores, [], 0.5)["one_minus_auc"]
    assert found.metrics["false_positive_rate"] == (found.scores[spam == 0] >= found.threshold).mean()
    called = [found.metrics[f"{kind}ham_called_spam"] for kind in ("excerpt_", "template_")]
    pooled = 50 * found.metrics["false_positive_rate"] + 50 * called[0] + 20 * called[1]
    assert pooled == pytest.approx(0.1 * 120)


def test_probabilities_mean_what_they_say_on_rows_of_every_kind(learned: list[Rows]) -> None:
    rows = made_up()
    found = evaluate.evaluate(rows, lambda _: None)
    assert learned and found.metrics["expected_calibration_error"] < 0.12
    assert all(each["expected_calibration_error"] < 0.2 for each in found.copies.values())


def test_copies_of_ham_alone_have_no_share_of_spam() -> None:
    rows = made_up()
    ham = rows.take(np.flatnonzero((np.array(rows.kinds) != "excerpt") | (rows.spam == 0)))
    found = evaluate.figures_of_copies(ham, np.full(len(ham), 0.75), 0.5)
    assert found == {
        "excerpt": {"ham_called_spam": 1.0, "expected_calibration_error": 0.75},
        "template": {"ham_called_spam": 1.0, "spam_caught": 1.0, "expected_calibration_error": 0.25},
    }
