"""Tests of scoring: the compiled scorer equals the pipeline, only faster; a table scores any other pipeline."""

import logging
from collections.abc import Callable

import numpy as np
import pytest
from conftest import COLUMNS, build, fit, frame, mails
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from bundle import scoring


def slow(pipeline: Pipeline, texts: list[str], values: scoring.Floats) -> scoring.Floats:
    probabilities: scoring.Floats = pipeline.predict_proba(frame(texts, values))[:, 1]
    return probabilities


def test_compiled_scorer_equals_the_pipeline(pipeline: Pipeline) -> None:
    texts, values, _ = mails()
    score = scoring.compile_linear(pipeline, COLUMNS)
    assert score(texts, values) == pytest.approx(slow(pipeline, texts, values), abs=1e-12)


ODD_TEXTS = ["", "   ", "unknown words only", "w1", "w1 w1 w1", "w1\u2003w2\nw3", "\0 w4"]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_texts(pipeline: Pipeline, text: str) -> None:
    values = mails()[1][:1]
    expected = slow(pipeline, [text], values)
    assert scoring.compile_linear(pipeline, COLUMNS)([text], values) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 1e-300, 0.5, 1.0, 2.0, 3.0, 7.0, 1e3, 1e12, 1e300])
def test_numbers_on_between_and_outside_of_knots(pipeline: Pipeline, value: float) -> None:
    values = np.full((1, 3), value)
    expected = slow(pipeline, ["w1"], values)
    assert scoring.compile_linear(pipeline, COLUMNS)(["w1"], values) == pytest.approx(expected, abs=1e-12)


def test_both_weights_count() -> None:
    weighted = fit(build(weights={"text": 2.0, "numbers": 0.05}))
    texts, values, _ = mails()
    score = scoring.compile_linear(weighted, COLUMNS)
    assert score(texts, values) == pytest.approx(slow(weighted, texts, values), abs=1e-12)


OTHER_SHAPES: dict[str, Callable[[], Pipeline]] = {
    "logistic regression": lambda: build(classifier=LogisticRegression()),
    "isotonic": lambda: build(
        classifier=CalibratedClassifierCV(LinearSVC(dual=False), method="isotonic", ensemble=False, cv=3)
    ),
    "ensemble": lambda: build(classifier=CalibratedClassifierCV(LinearSVC(dual=False), ensemble=True, cv=3)),
    "calibrated other": lambda: build(classifier=CalibratedClassifierCV(LogisticRegression(), ensemble=False, cv=3)),
    "word counts": lambda: build(TfidfVectorizer(analyzer=str.split)),
    "own tokens": lambda: build(TfidfVectorizer(binary=True)),
    "no norm": lambda: build(TfidfVectorizer(analyzer=str.split, binary=True, norm=None)),
}


@pytest.mark.parametrize("shape", OTHER_SHAPES)
def test_other_shapes_are_scored_through_the_pipeline(shape: str, caplog: pytest.LogCaptureFixture) -> None:
    other = fit(OTHER_SHAPES[shape]())
    texts, values, _ = mails(8)
    with pytest.raises(scoring.UnknownShape):
        scoring.compile_linear(other, COLUMNS)
    with caplog.at_level(logging.WARNING):
        score = scoring.fastest(other, COLUMNS)
    assert "scoring through the pipeline" in caplog.text
    assert score(texts, values) == pytest.approx(slow(other, texts, values), abs=0)


def test_pipeline_without_columns_step_is_another_shape() -> None:
    texts, values, spam = mails()
    other = Pipeline([("numbers", HistGradientBoostingClassifier(max_iter=5))])
    other.fit(frame(texts, values)[list(COLUMNS[1:])], spam)
    with pytest.raises(scoring.UnknownShape, match="ColumnTransformer"):
        scoring.compile_linear(other, COLUMNS)


def test_a_compiled_scorer_that_is_off_is_not_used(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right = scoring.compile_linear(pipeline, COLUMNS)
    monkeypatch.setattr(scoring, "compile_linear", lambda *_: lambda texts, values: right(texts, values) + 1e-8)
    with caplog.at_level(logging.WARNING):
        score = scoring.fastest(pipeline, COLUMNS)
    texts, values, _ = mails(4)
    assert "is off by" in caplog.text
    assert score(texts, values) == pytest.approx(slow(pipeline, texts, values), abs=0)


def test_a_compiled_scorer_that_is_right_is_used(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    score = scoring.fastest(pipeline, COLUMNS)
    assert "compile_linear" in score.__qualname__ and not caplog.records
