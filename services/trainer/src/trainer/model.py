"""The model: one scikit-learn pipeline, of scikit-learn's own classes and builtins only.

Nothing of ours is in the pickle, so scikit-learn's stock servers can serve it too. `bundle.scoring` knows this shape
and scores it without a table; another shape is served as well, but slower.
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
}
"""Chosen on the folds of the SpamAssassin corpus, in coarse steps. Squared hinge loss halves 1-AUC against logistic
loss, splines of the numbers take off another third, and both are flat around these values."""


def table(texts: list[str], values: NDArray[np.float64]) -> pd.DataFrame:
    """The model's input: `COLUMNS` of n mails."""
    frame = pd.DataFrame(values, columns=list(features.NAMES))
    frame.insert(0, TEXT_COLUMN, texts)
    return frame


def build(calibration: list[folds.Split]) -> Pipeline:
    """An unfitted model.

    Args:
        calibration: Folds of the rows it will be fitted on, for the sigmoid from margins to probabilities
            (Platt 1999); near-duplicates over two of them would make it too sure of itself.
    """
    svm = LinearSVC(C=SETTINGS["svm_c"], dual=False)
    calibrated = CalibratedClassifierCV(svm, method="sigmoid", ensemble=False, cv=calibration)
    return Pipeline([("columns", _columns()), ("classifier", calibrated)])


def _columns() -> ColumnTransformer:
    words = TfidfVectorizer(analyzer=str.split, binary=True, min_df=SETTINGS["minimum_mails_of_a_word"])
    splines = SplineTransformer(
        n_knots=SETTINGS["spline_knots"], degree=SETTINGS["spline_degree"], knots="quantile", extrapolation="constant"
    )
    # Counts span five decades: on their logarithm a spline's knots are where the mails are.
    numbers = Pipeline([("logarithm", FunctionTransformer(np.log1p)), ("splines", splines)])
    return ColumnTransformer(
        [("text", words, TEXT_COLUMN), ("numbers", numbers, list(features.NAMES))],
        transformer_weights={"numbers": SETTINGS["numbers_weight"]},
    )


def fit(frame: pd.DataFrame, spam: NDArray[np.int_], groups: NDArray[np.int_]) -> Pipeline:
    """Fit a model on n rows of `table`, calibrated on folds that keep `groups` [n] together."""
    model = build(folds.split(spam, groups))
    model.fit(frame, spam)
    # Row numbers of the corpus say nothing any more, and would be most of the pickle.
    return model.set_params(classifier__cv=None)
