"""Evaluation of the model on mail that it has not seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score

from trainer import folds, model
from trainer.augment import Rows
from trainer.threshold import ThresholdChoice

STRICT_RATE = 0.001
"""Share of the mails' ham at which filters are compared: one mail in a thousand."""
DEFAULT = ThresholdChoice()

Floats = NDArray[np.float64]
Labels = NDArray[np.int_]
Progress = Callable[[str], None]
CopyFigures = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Out-of-fold probabilities of the mails [n] and the figures derived from them."""

    scores: Floats
    folds: Labels
    """Fold that each mail was left out with [n], from 0."""
    threshold: float
    metrics: dict[str, Any]
    choice: ThresholdChoice
    """How the threshold was chosen."""
    copies: CopyFigures
    """Figures of copies and templates, by what they are; metrics hold them too."""
    margins: Floats
    """Out-of-fold margins of all rows [m], mails first."""


def evaluate(rows: Rows, progress: Progress, choice: ThresholdChoice = DEFAULT) -> Evaluation:
    """Score each row by a model that was fitted without its fold: a copy is in its mail's.

    Args:
        rows: Mails, copies and templates, as `augment.augmented` gives them.
        progress: Called with each line of progress.
        choice: How the threshold is chosen.
    """
    held = fold_of_rows(rows)
    margins = np.empty(len(rows))
    for fold in range(folds.FOLDS):
        out = np.flatnonzero(held == fold)
        margins[out] = model.margins(model.learn(rows.take(np.flatnonzero(held != fold))), rows.take(out))
        mails = out[out < rows.mails]
        miss = _miss(rows.spam[mails], margins[mails])
        progress(f"fold {fold + 1} of {folds.FOLDS}: 1-AUC {miss:.4%}")
    scores = _probabilities(margins, held, rows)
    chosen = threshold_by(choice, rows.spam, scores)
    mails = np.arange(rows.mails)
    tests = [np.flatnonzero(held[mails] == fold) for fold in range(folds.FOLDS)]
    figures = metrics(rows.spam[mails], scores[mails], tests, chosen)
    if choice.given is None:
        figures["false_positive_rate_limit"] = choice.limit
    copies = figures_of_copies(rows, scores, chosen)
    figures |= {f"{kind}_{name}": value for kind, each in copies.items() for name, value in each.items()}
    return Evaluation(scores[mails], held[mails], chosen, figures, choice, copies, margins)


def fold_of_rows(rows: Rows) -> Labels:
    """Return the fold of each row [m]: that of its mail; templates, which have none, take turns."""
    mails = np.empty(rows.mails, np.int_)
    for fold, (_, test) in enumerate(folds.split(rows.spam[: rows.mails], rows.groups[: rows.mails])):
        mails[test] = fold
    templates = np.arange(int(rows.origins.max()) + 1 - rows.mails) % folds.FOLDS
    return np.concatenate([mails, templates])[rows.origins]


def _probabilities(margins: Floats, held: Labels, rows: Rows) -> Floats:
    """Return the probability of each row by the sigmoid of all other folds [m]."""
    scores = np.empty(len(rows))
    for fold in range(folds.FOLDS):
        others, out = np.flatnonzero(held != fold), np.flatnonzero(held == fold)
        scores[out] = model.sigmoid(margins[others], rows.take(others)).predict(margins[out])
    return scores


def threshold_by(choice: ThresholdChoice, spam: Labels, scores: Floats) -> float:
    """Return the threshold that was given, or else the one of `threshold_at`."""
    return threshold_at(spam, scores, choice.limit) if choice.given is None else choice.given


def threshold_at(spam: Labels, scores: Floats, false_positive_rate: float) -> float:
    """Return the lowest score that at most a share `false_positive_rate` of the ham reaches; 1 if there is none."""
    ham = np.sort(scores[spam == 0])[::-1]
    allowed = int(false_positive_rate * len(ham))
    fitting = scores[scores > ham[allowed]]
    return float(fitting.min()) if len(fitting) else 1.0


def metrics(spam: Labels, scores: Floats, tests: list[folds.Indices], threshold: float) -> dict[str, Any]:
    """Return figures of out-of-fold scores [n], pooled and for each fold's test rows; shares are 0 to 1."""
    strict = threshold_at(spam, scores, STRICT_RATE)
    return {
        "one_minus_auc": _miss(spam, scores),
        "one_minus_auc_by_fold": [_miss(spam[test], scores[test]) for test in tests],
        "false_positive_rate": float((scores[spam == 0] >= threshold).mean()),
        "spam_caught": float((scores[spam == 1] >= threshold).mean()),
        "spam_caught_at_one_in_a_thousand": float((scores[spam == 1] >= strict).mean()),
        "brier_score": float(brier_score_loss(spam, scores)),
        "expected_calibration_error": _calibration_error(spam, scores),
    }


def figures_of_copies(rows: Rows, scores: Floats, threshold: float) -> CopyFigures:
    """Return the shares, 0 to 1, of copies and templates that the threshold calls spam, by what they are.

    A share of a kind without ham or without spam is left out.
    """
    kinds, found = np.array(rows.kinds), CopyFigures()
    for kind in dict.fromkeys(rows.kinds):
        if kind == "mail":
            continue
        spam, score = rows.spam[kinds == kind], scores[kinds == kind]
        shares = (("ham_called_spam", score[spam == 0]), ("spam_caught", score[spam == 1]))
        found[kind] = {name: float((each >= threshold).mean()) for name, each in shares if len(each)}
        found[kind]["expected_calibration_error"] = _calibration_error(spam, score)
    return found


def _miss(spam: Labels, scores: Floats) -> float:
    return 1.0 - float(roc_auc_score(spam, scores))


def _calibration_error(spam: Labels, scores: Floats, bins: int = 10) -> float:
    """Return the mean distance of probability and share of spam over equal bins (Naeini et al. 2015), 0 to 1."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    return float(sum(abs((spam[place == b] - scores[place == b]).sum()) for b in range(bins)) / len(spam))
