"""Fixtures: one small fitted pipeline of the shape that the trainer builds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer
from sklearn.svm import LinearSVC

import bundle

COLUMNS = ("text", "links", "capitals_share", "always_one")
ROWS = 240


def mails(rows: int = ROWS) -> tuple[list[str], NDArray[np.float64], NDArray[np.int_]]:
    """Return made-up mails in which some words and many links mean spam."""
    random = np.random.default_rng(7)
    spam = np.arange(rows) % 2
    words = [f"w{n}" for n in range(40)]
    texts = [" ".join(random.choice(words[10 * s : 10 * s + 30], 12)) for s in spam]
    values = np.column_stack([random.poisson(1 + 3 * spam), random.random(rows), np.ones(rows)]).astype(float)
    return texts, values, spam


def frame(texts: Sequence[str], values: NDArray[np.float64]) -> pd.DataFrame:
    table = pd.DataFrame(values, columns=list(COLUMNS[1:]))
    table.insert(0, "text", list(texts))
    return table


def build(
    vectoriser: TfidfVectorizer | None = None, classifier: Any = None, weights: dict[str, float] | None = None
) -> Pipeline:
    splines = SplineTransformer(n_knots=4, knots="quantile", extrapolation="constant")
    numbers = Pipeline([("logarithm", FunctionTransformer(np.log1p)), ("splines", splines)])
    columns = ColumnTransformer(
        [
            ("text", vectoriser or TfidfVectorizer(analyzer=str.split, binary=True), "text"),
            ("numbers", numbers, list(COLUMNS[1:])),
        ],
        transformer_weights=weights or {"numbers": 0.3},
    )
    svm = CalibratedClassifierCV(LinearSVC(dual=False), ensemble=False, cv=3)
    return Pipeline([("columns", columns), ("classifier", classifier or svm)])


def fit(pipeline: Pipeline) -> Pipeline:
    texts, values, spam = mails()
    fitted: Pipeline = pipeline.fit(frame(texts, values), spam)
    return fitted


def save(folder: Path, pipeline: Pipeline, **changes: Any) -> bundle.Manifest:
    fields: dict[str, Any] = {
        "name": "spam-detector",
        "version": folder.name,
        "feature_schema_version": "1",
        "columns": COLUMNS,
        "threshold": 0.9,
        "metrics": {"one_minus_auc": 0.001},
        "corpus": {"digest": "0" * 64, "ham": 120, "spam": 120},
        "files": {"model-card.md": b"# card"},
    }
    return bundle.write(folder, bundle.dump(pipeline), **{**fields, **changes})


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    return fit(build())


@pytest.fixture
def folder(tmp_path: Path, pipeline: Pipeline) -> Path:
    target = tmp_path / "spam-detector" / "v1"
    save(target, pipeline)
    return target
