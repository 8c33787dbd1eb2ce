"""Spam probabilities from a fitted pipeline, without building a table for each call.

A `ColumnTransformer` on a `DataFrame` costs milliseconds for one row, nearly all of it spent on checking and
indexing. A linear model over TF-IDF words and splines is only a sum. `compile_linear` takes its terms out of the
fitted pipeline once. A compiled scorer must be checked against its pipeline: see `fastest`.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer
from sklearn.svm import LinearSVC

Floats = NDArray[np.float64]
Scorer = Callable[[Sequence[str], Floats], Floats]
"""Function from texts [n] and numbers [n, k] to spam probabilities [n]."""

TOLERANCE = 1e-9
"""Largest difference allowed between a compiled scorer's probability and the pipeline's own."""

_log = logging.getLogger(__name__)


class UnknownShape(Exception):
    """Error for a pipeline that `compile_linear` cannot take apart."""


def by_table(pipeline: Pipeline, columns: Sequence[str]) -> Scorer:
    """Return a scorer that calls the pipeline itself: slow, but right for any model."""
    text, *names = columns

    def score(texts: Sequence[str], values: Floats) -> Floats:
        table = pd.DataFrame(values, columns=names)
        table.insert(0, text, list(texts))
        probabilities: Floats = pipeline.predict_proba(table)[:, -1]
        return probabilities

    return score


def fastest(pipeline: Pipeline, columns: Sequence[str]) -> Scorer:
    """Return the compiled scorer if it agrees with the pipeline on probe rows, else the pipeline's own."""
    slow = by_table(pipeline, columns)
    try:
        fast = compile_linear(pipeline, columns)
    except UnknownShape as error:
        _log.warning("scoring through the pipeline, at milliseconds a call: %s", error)
        return slow
    texts, values = _probes(pipeline, len(columns) - 1)
    difference = float(np.abs(fast(texts, values) - slow(texts, values)).max())
    if not difference <= TOLERANCE:
        _log.warning("scoring through the pipeline: the compiled scorer is off by %.3g on probe rows", difference)
        return slow
    return fast


def _probes(pipeline: Pipeline, width: int) -> tuple[list[str], Floats]:
    """Return probe rows from empty mail to values far outside any mail, with every order of magnitude between."""
    words = sorted(_text_step(pipeline).vocabulary_)
    texts = ["", "word-that-no-model-knows", *(" ".join(words[start::97] * 2 + words[start::89]) for start in range(6))]
    texts += [" ".join(words[start : start + 3]) for start in range(0, len(words), max(1, len(words) // 24))]
    magnitudes = np.geomspace(1e-3, 1e7, len(texts) - 1)
    values = np.outer(np.concatenate([[0.0], magnitudes]), np.ones(width))
    for column in range(width):
        values[:, column] = np.roll(values[:, column], column)
    return texts, values


@dataclass(frozen=True, slots=True)
class _Words:
    """Binary TF-IDF with l2 norm, times the weights of a linear model (Manning et al., IIR, 6.2 and 6.3)."""

    index: dict[str, int]
    weights: Floats
    """Weight times idf [vocabulary]."""
    squares: Floats
    """Square of idf [vocabulary]."""

    def score(self, text: str) -> float:
        known = set(map(self.index.get, text.split()))
        known.discard(None)
        if not known:
            return 0.0
        places = np.fromiter(known, np.intp, len(known))
        return float(self.weights.take(places).sum() / math.sqrt(self.squares.take(places).sum()))


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Piecewise polynomials, one for each number: its spline basis times the weights of a linear model."""

    function: np.ufunc
    breaks: Floats
    """Knots [k, m]."""
    powers: Floats
    """Coefficients [degree + 1, k, m], highest power first, around the knot on the left."""
    below: Floats
    """Value left of the first knot [k]."""
    above: Floats
    """Value right of the last knot [k]."""

    def score(self, values: Floats) -> Floats:
        values = self.function(values)
        piece = (values[:, :, None] >= self.breaks[:, 1:-1]).sum(axis=2)
        column = np.arange(values.shape[1])
        offset = values - self.breaks[column, piece]
        total = self.powers[0][column, piece]
        for power in self.powers[1:]:
            total = total * offset + power[column, piece]
        total = np.where(values < self.breaks[:, 0], self.below, total)
        total = np.where(values > self.breaks[:, -1], self.above, total)
        summed: Floats = total.sum(axis=1)
        return summed


def compile_linear(pipeline: Pipeline, columns: Sequence[str]) -> Scorer:
    """Return a scorer that holds a calibrated linear SVM over TF-IDF words and splines of numbers as plain arrays.

    Raises:
        UnknownShape: If the pipeline has another shape; the message names the step.
    """
    vectoriser, splines = _text_step(pipeline), _number_step(pipeline, columns)
    linear, slope, offset = _classifier_step(pipeline)
    weights = pipeline.steps[0][1].transformer_weights or {}
    split = len(vectoriser.vocabulary_)
    words = _compile_words(vectoriser, linear.coef_[0, :split] * weights.get("text", 1.0))
    numbers = _compile_numbers(splines, linear.coef_[0, split:] * weights.get("numbers", 1.0))
    intercept = float(linear.intercept_[0])

    def score(texts: Sequence[str], values: Floats) -> Floats:
        of_words = np.array([words.score(text) for text in texts])
        margins = of_words + numbers.score(values) + intercept
        # Platt's sigmoid, with the signs that scikit-learn uses.
        probabilities: Floats = expit(-(slope * margins + offset))
        return probabilities

    return score


def _classifier_step(pipeline: Pipeline) -> tuple[LinearSVC, float, float]:
    """Return the linear model and the slope and offset of its calibration."""
    step = pipeline.steps[-1][1]
    _require(len(pipeline.steps) == 2 and type(step) is CalibratedClassifierCV, "not a calibrated classifier")
    _require(list(step.classes_) == [0, 1], "its classes are not 0 and 1")
    _require(step.method == "sigmoid" and len(step.calibrated_classifiers_) == 1, "not calibrated by one sigmoid")
    calibrated = step.calibrated_classifiers_[0]
    _require(type(calibrated.estimator) is LinearSVC, "not a LinearSVC")
    sigmoid = calibrated.calibrators[0]
    return calibrated.estimator, float(sigmoid.a_), float(sigmoid.b_)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise UnknownShape(f"the model is {otherwise}" if otherwise.startswith("not") else otherwise)


def _columns_step(pipeline: Pipeline) -> ColumnTransformer:
    step = pipeline.steps[0][1]
    _require(type(step) is ColumnTransformer, "not a pipeline that begins with a ColumnTransformer")
    _require([name for name, _, _ in step.transformers_] == ["text", "numbers"], "its columns are not text and numbers")
    return step


def _text_step(pipeline: Pipeline) -> TfidfVectorizer:
    step = _columns_step(pipeline).transformers_[0][1]
    _require(type(step) is TfidfVectorizer, "its text step is no TfidfVectorizer")
    _require(step.analyzer == str.split and step.binary, "its words are not those of str.split, each counted once")
    _require(step.norm == "l2" and step.use_idf, "its TF-IDF is not normalised (l2)")
    return step


def _number_step(pipeline: Pipeline, columns: Sequence[str]) -> Pipeline:
    _, step, names = _columns_step(pipeline).transformers_[1]
    kinds = [type(part) for _, part in step.steps] if type(step) is Pipeline else []
    _require(kinds == [FunctionTransformer, SplineTransformer], "its numbers are not a function and splines")
    _require(list(names) == list(columns[1:]), "its numbers are not in the order of its columns")
    function, splines = step.steps[0][1], step.steps[1][1]
    _require(isinstance(function.func, np.ufunc) and not function.kw_args, "its function is no plain ufunc")
    _require(splines.extrapolation == "constant" and splines.include_bias, "its splines are not held constant outside")
    return step


def _compile_words(step: TfidfVectorizer, weights: Floats) -> _Words:
    index = {word: int(place) for word, place in step.vocabulary_.items()}
    return _Words(index, weights * step.idf_, step.idf_**2)


def _compile_numbers(step: Pipeline, weights: Floats) -> _Numbers:
    function, splines = step.steps[0][1], step.steps[1][1]
    blocks = weights.reshape(splines.n_features_in_, -1)
    pieces = [_Piecewise.of(basis, block) for basis, block in zip(splines.bsplines_, blocks, strict=True)]
    return _Numbers(
        function.func,
        np.array([piece.breaks for piece in pieces]),
        np.array([piece.powers for piece in pieces]).transpose(1, 0, 2),
        np.array([piece.below for piece in pieces]),
        np.array([piece.above for piece in pieces]),
    )


@dataclass(frozen=True, slots=True)
class _Piecewise:
    """Polynomials of one number; see `_Numbers`."""

    breaks: Floats
    powers: Floats
    below: float
    above: float

    @classmethod
    def of(cls, basis: BSpline, weights: Floats) -> Self:
        degree = basis.k
        breaks = basis.t[degree : len(weights) + 1]
        # Taylor coefficients at each knot. SciPy's PPoly would compute them, but it refuses knots that all coincide.
        # Knots coincide for a number that is the same in every mail of a corpus.
        orders = range(degree, -1, -1)
        powers = np.array([basis(breaks[:-1], nu=order) @ weights / math.factorial(order) for order in orders])
        # Outside the knots SplineTransformer uses only the outermost `degree` bases, even where repeated knots leave
        # others.
        below = basis(breaks[0])[:degree] @ weights[:degree]
        above = basis(breaks[-1])[-degree:] @ weights[-degree:]
        return cls(breaks, powers, below, above)
