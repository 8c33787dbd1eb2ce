"""Model: one scikit-learn pipeline, made only of scikit-learn's own classes and builtins.

The pickle contains none of our code, so scikit-learn's stock servers can serve it too. `bundle.scoring` knows this
shape and scores it without a table; another shape is also served, but more slowly.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer
from sklearn.svm import LinearSVC

import features
from bundle import TEXT_COLUMN
from trainer import folds

COLUMNS = (TEXT_COLUMN, *features.NAMES)

SETTINGS: dict[str, Any] = {
    "minimum_mails_of_a_word": 4,
    "spline_knots": 5,
    "spline_degree": 3,
    "numbers_weight": 0.1,
    "svm_c": 30.0,
    "excerpt_weight": 0.02,
    "excerpt_spam_weight": 0.2,
}
"""Settings of the pipeline, chosen in coarse steps on the folds of the SpamAssassin corpus.

Squared hinge loss halves 1-AUC against logistic loss, and splines of the numbers take off another third. Both are flat
around these values. An excerpt weighs `excerpt_weight` of its mail, and for spam `excerpt_spam_weight` of that. More
would make the model forget whole messages, or call short ham spam. Mails and excerpts alike decide what counts as a
word and where the splines' knots are.
"""


def table(texts: list[str], values: NDArray[np.float64]) -> pd.DataFrame:
    """Return the model's input: `COLUMNS` of n mails."""
    frame = pd.DataFrame(values, columns=list(features.NAMES))
    frame.insert(0, TEXT_COLUMN, texts)
    return frame


def build(calibration: list[folds.Split]) -> Pipeline:
    """Return an unfitted model.

    Args:
        calibration: Folds of the rows it will be fitted on, for the sigmoid from margins to probabilities (Platt 1999).
            Near-duplicates in two of them would make it overconfident.
    """
    svm = LinearSVC(C=SETTINGS["svm_c"], dual=False)
    calibrated = CalibratedClassifierCV(svm, method="sigmoid", ensemble=False, cv=calibration)
    return Pipeline([("columns", _columns()), ("classifier", calibrated)])


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


def fit(frame: pd.DataFrame, spam: NDArray[np.int_], groups: NDArray[np.int_], excerpts: pd.DataFrame) -> Pipeline:
    """Return a model fitted on n mails and their excerpts, calibrated on folds that keep groups together.

    Args:
        frame: Rows of `table` [n].
        spam: Kind of each mail, and of its excerpt [n].
        groups: Near-duplicates [n]; an excerpt is in its mail's group.
        excerpts: Rows of `table` [n], in the order of their mails.
    """
    rows = pd.concat([frame, excerpts], ignore_index=True)
    kinds = np.tile(spam, 2)
    model = build(folds.split(kinds, np.tile(groups, 2)))
    model.fit(rows, kinds, classifier__sample_weight=np.concatenate([np.ones(len(spam)), _excerpt_weights(spam)]))
    # Row numbers of the corpus have no meaning after the fit, and would be most of the pickle.
    return model.set_params(classifier__cv=None)


def _excerpt_weights(spam: NDArray[np.int_]) -> NDArray[np.float64]:
    ham_weight: float = SETTINGS["excerpt_weight"]
    return np.where(spam == 1, ham_weight * SETTINGS["excerpt_spam_weight"], ham_weight)
