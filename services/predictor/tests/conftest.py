"""Small real bundle: a text and two numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kserve import InferInput, InferRequest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

import bundle
from predictor.model import SpamModel

COLUMNS = ("text", "links", "words")
TEXTS = ["win money now", "lunch at ten", "free money", "see you at lunch"]
LINKS = [9.0, 0.0, 5.0, 1.0]
WORDS = [3.0, 3.0, 2.0, 4.0]
QUANTILES = bundle.quantiles.measure(np.column_stack((LINKS, WORDS)), np.array([1, 0, 1, 0]), ("links", "words"))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = pd.DataFrame({"text": TEXTS * 10, "links": LINKS * 10, "words": WORDS * 10})
    columns = ColumnTransformer(
        [
            ("text", TfidfVectorizer(analyzer=str.split), "text"),
            ("numbers", FunctionTransformer(np.log1p), ["links", "words"]),
        ]
    )
    svm = CalibratedClassifierCV(LinearSVC(dual=False), ensemble=False, cv=3)
    pipeline = Pipeline([("columns", columns), ("classifier", svm)]).fit(frame, [1, 0, 1, 0] * 10)
    target = tmp_path_factory.mktemp("models") / "spam-detector" / "1"
    bundle.write(
        target,
        bundle.dump(pipeline),
        name="spam-detector",
        version="1",
        feature_schema_version="1",
        columns=COLUMNS,
        threshold=0.9,
        metrics={},
        corpus={},
        files={},
        feature_quantiles=QUANTILES,
    )
    return target


@pytest.fixture(scope="session")
def loaded(folder: Path) -> bundle.Bundle:
    return bundle.load(folder)


@pytest.fixture
def model(loaded: bundle.Bundle) -> SpamModel:
    return SpamModel("spam-detector", loaded, max_rows=100)


def tensors(n: int = 4) -> dict[str, InferInput]:
    return {
        "text": InferInput("text", [n, 1], "BYTES", data=TEXTS[:n]),
        "links": InferInput("links", [n, 1], "FP32", data=LINKS[:n]),
        "words": InferInput("words", [n, 1], "FP32", data=WORDS[:n]),
    }


def request(**changes: InferInput) -> InferRequest:
    return InferRequest("spam-detector", list((tensors() | changes).values()), request_id="1")
