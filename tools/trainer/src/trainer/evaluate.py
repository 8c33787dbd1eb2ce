"""Evaluation of the model on mail that it has not seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score

from trainer import folds, model, threshold
from trainer.corpus import Corpus
from trainer.threshold import ThresholdChoice

FALSE_POSITIVE_RATE = threshold.FALSE_POSITIVE_RATE
DEFAULT = ThresholdChoice()

Floats = NDArray[np.float64]
Labels = NDArray[np.int_]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Out-of-fold probabilities [n] and the figures derived from them."""

    scores: Floats
    folds: Labels
    """Fold that each mail was left out with [n], from 0."""
    threshold: float
    metrics: dict[str, Any]
    choice: ThresholdChoice
    """How the threshold was chosen."""


def evaluate(corpus: Corpus, groups: Labels, progress: Progress, choice: ThresholdChoice = DEFAULT) -> Evaluation:
    """Score each mail, and separately its excerpt, by a model that was fitted without its fold."""
    frame = model.table(corpus.texts, corpus.values)
    excerpts = model.table(corpus.excerpt_texts, corpus.excerpt_values)
    splits = folds.split(corpus.spam, groups)
    scores, excerpt_scores = np.empty(len(corpus.spam)), np.empty(len(corpus.spam))
    numbers = np.empty(len(corpus.spam), np.int_)
    for number, (train, test) in enumerate(splits, 1):
        fitted = model.fit(frame.iloc[train], corpus.spam[train], groups[train], excerpts.iloc[train])
        numbers[test] = number - 1
        scores[test] = fitted.predict_proba(frame.iloc[test])[:, 1]
        excerpt_scores[test] = fitted.predict_proba(excerpts.iloc[test])[:, 1]
        miss = 1 - roc_auc_score(corpus.spam[test], scores[test])
        progress(f"fold {number} of {len(splits)}: 1-AUC {miss:.4%}")
    chosen = threshold_by(choice, corpus.spam, scores)
    figures = metrics(corpus.spam, scores, [test for _, test in splits], choice)
    figures |= excerpt_metrics(corpus.spam, excerpt_scores, chosen)
    return Evaluation(scores, numbers, chosen, figures, choice)


def threshold_by(choice: ThresholdChoice, spam: Labels, scores: Floats) -> float:
    """Return the threshold that was given, or else the one of `threshold_at`."""
    return threshold_at(spam, scores, choice.limit) if choice.given is None else choice.given


def threshold_at(spam: Labels, scores: Floats, false_positive_rate: float) -> float:
    """Return the lowest score that at most a share `false_positive_rate` of the ham reaches; 1 if there is none."""
    ham = np.sort(scores[spam == 0])[::-1]
    allowed = int(false_positive_rate * len(ham))
    fitting = scores[scores > ham[allowed]]
    return float(fitting.min()) if len(fitting) else 1.0


def metrics(
    spam: Labels, scores: Floats, tests: list[folds.Indices], choice: ThresholdChoice = DEFAULT
) -> dict[str, Any]:
    """Return figures of out-of-fold scores [n], pooled and for each fold's test rows; shares are 0 to 1.

    The limit of false positives is among them only if it chose the threshold.
    """
    threshold = threshold_by(choice, spam, scores)
    limit = {"false_positive_rate_limit": choice.limit} if choice.given is None else {}
    return {
        "one_minus_auc": _miss(spam, scores),
        "one_minus_auc_by_fold": [_miss(spam[test], scores[test]) for test in tests],
        **limit,
        "false_positive_rate": float((scores[spam == 0] >= threshold).mean()),
        "spam_caught": float((scores[spam == 1] >= threshold).mean()),
        "brier_score": float(brier_score_loss(spam, scores)),
        "expected_calibration_error": _calibration_error(spam, scores),
    }


def excerpt_metrics(spam: Labels, scores: Floats, threshold: float) -> dict[str, float]:
    """Return shares, 0 to 1, of the excerpts' out-of-fold scores [n] at the threshold derived from whole mails."""
    called = scores >= threshold
    return {
        "excerpts_ham_called_spam": float(called[spam == 0].mean()),
        "excerpts_spam_caught": float(called[spam == 1].mean()),
    }


def _miss(spam: Labels, scores: Floats) -> float:
    return 1.0 - float(roc_auc_score(spam, scores))


def _calibration_error(spam: Labels, scores: Floats, bins: int = 10) -> float:
    """Return the mean distance of probability and share of spam over equal bins (Naeini et al. 2015), 0 to 1."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    return float(sum(abs((spam[place == b] - scores[place == b]).sum()) for b in range(bins)) / len(spam))
