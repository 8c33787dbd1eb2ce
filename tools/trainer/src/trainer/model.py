"""Model: one scikit-learn pipeline, made only of scikit-learn's own classes and builtins.

The pickle contains none of our code, so scikit-learn's stock servers can serve it too. `bundle.scoring` knows this
shape and scores it without a table; another shape is also served, but more slowly.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV, _CalibratedClassifier, _SigmoidCalibration
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer
from sklearn.svm import LinearSVC

import features
from bundle import TEXT_COLUMN
from trainer import folds
from trainer.augment import Rows

Floats = NDArray[np.float64]

COLUMNS = (TEXT_COLUMN, *features.NAMES)

SETTINGS: dict[str, Any] = {
    "minimum_mails_of_a_word": 4,
    "spline_knots": 8,
    "spline_degree": 3,
    "numbers_weight": 0.1,
    "svm_c": 5.0,
}
"""Settings of the pipeline, chosen in coarse steps on the folds of the SpamAssassin corpus and on other people's mail.

Squared hinge loss halves 1-AUC against logistic loss, and splines of the numbers take off another third. Mails, copies
and templates alike decide what counts as a word and where the splines' knots are. `augment.SETTINGS` has their weights.
"""


def table(texts: list[str], values: Floats) -> pd.DataFrame:
    """Return the model's input: `COLUMNS` of n mails."""
    frame = pd.DataFrame(values, columns=list(features.NAMES))
    frame.insert(0, TEXT_COLUMN, texts)
    return frame


def fit(rows: Rows) -> Pipeline:
    """Return a calibrated model of the rows, whose sigmoid is fitted on margins of models that did not know them."""
    return calibrated(learn(rows), out_of_fold(rows), rows)


def learn(rows: Rows) -> Pipeline:
    """Return a model fitted on the rows by their weights, without a sigmoid: it gives margins."""
    learned = Pipeline([("columns", _columns()), ("classifier", LinearSVC(C=SETTINGS["svm_c"], dual=False))])
    return learned.fit(table(rows.texts, rows.values), rows.spam, classifier__sample_weight=rows.weights)


def margins(learned: Pipeline, rows: Rows) -> Floats:
    """Return the margins of m rows, positive for spam."""
    found: Floats = learned.decision_function(table(rows.texts, rows.values))
    return found


def out_of_fold(rows: Rows) -> Floats:
    """Return the margin of each row by a model that learned nothing of its group [m]."""
    found = np.empty(len(rows))
    for train, test in folds.split(rows.spam, rows.groups):
        found[test] = margins(learn(rows.take(train)), rows.take(test))
    return found


def calibrated(learned: Pipeline, held_out: Floats, rows: Rows) -> Pipeline:
    """Return the model with the sigmoid from margins to probabilities (Platt 1999).

    Args:
        learned: Result of `learn`.
        held_out: Margins of m rows by models that did not know them. Those of the model itself would be too large.
        rows: The rows [m].
    """
    svm = learned.named_steps["classifier"]
    classifier = CalibratedClassifierCV(svm, method="sigmoid", ensemble=False)
    classifier.classes_ = svm.classes_
    classifier.n_features_in_ = svm.n_features_in_
    # Its own fit would fit the SVM six times anew, though the margins of all folds are known.
    held = sigmoid(held_out, rows)
    classifier.calibrated_classifiers_ = [_CalibratedClassifier(svm, [held], method="sigmoid", classes=svm.classes_)]
    return Pipeline([("columns", learned.named_steps["columns"]), ("classifier", classifier)])


def sigmoid(held_out: Floats, rows: Rows) -> _SigmoidCalibration:
    """Return the sigmoid of margins [m].

    Each row counts as much as any other. By the weights of the fit, the probabilities would be those of the corpus, far
    too sure for other mail.
    """
    return _SigmoidCalibration().fit(held_out, rows.spam)


def _columns() -> ColumnTransformer:
    words = TfidfVectorizer(analyzer=str.split, binary=True, min_df=SETTINGS["minimum_mails_of_a_word"])
    splines = SplineTransformer(
        n_knots=SETTINGS["spline_knots"], degree=SETTINGS["spline_degree"], knots="quantile", extrapolation="constant"
    )
    # Counts span five decades; on a logarithmic scale a spline's knots lie where the mails are.
    numbers = Pipeline([("logarithm", FunctionTransformer(np.log1p)), ("splines", splines)])
    return ColumnTransformer(
        [("text", words, TEXT_COLUMN), ("numbers", numbers, list(features.NAMES))],
        transformer_weights={"numbers": SETTINGS["numbers_weight"]},
    )
