"""Fixtures: a small real model over the real columns, a small corpus, and a log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

import bundle
import features
from corpus import Digest, find_mails, read_mail
from inferencelog import Rows, Writer, open_store

START = datetime(2026, 3, 1, 13, tzinfo=UTC)
END = START + timedelta(hours=1)
THRESHOLD = 0.9


@pytest.fixture(scope="session")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a corpus of 40 mails."""
    root = tmp_path_factory.mktemp("corpus")
    for kind, text in (("ham", "lunch at ten o'clock, room {n}"), ("spam", "win ${n} NOW at http://1.2.3.4/{n} !!!")):
        (root / kind).mkdir()
        for n in range(20):
            (root / kind / f"{n:02}").write_text(f"Subject: {kind}\n\n{text.format(n=n)} {'word ' * n}")
    return root


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, mails: Path) -> Path:
    """Return the folder of a bundle that was trained on the corpus."""
    digest = Digest(mails)
    files = find_mails(mails, 0)
    for mail in files:
        digest.add(mail, read_mail(mail))
    found = [features.extract(read_mail(mail)) for mail in files]
    frame = pd.DataFrame([mail.values for mail in found], columns=list(features.NAMES))
    frame.insert(0, "text", [mail.text for mail in found])
    target = tmp_path_factory.mktemp("models") / "spam-detector" / "1"
    fitted = pipeline().fit(frame, [mail.spam for mail in files])
    write_bundle(target, bundle.dump(fitted), digest.hexdigest())
    return target


def pipeline() -> Pipeline:
    columns = ColumnTransformer(
        [
            ("text", TfidfVectorizer(analyzer=str.split), "text"),
            ("numbers", FunctionTransformer(np.log1p), list(features.NAMES)),
        ]
    )
    return Pipeline([("columns", columns), ("classifier", LogisticRegression())])


def write_bundle(target: Path, pickled: bytes, digest: str, version: str = "1", schema: str = "") -> None:
    bundle.write(
        target,
        pickled,
        name="spam-detector",
        version=version,
        feature_schema_version=schema or features.SCHEMA_VERSION,
        columns=("text", *features.NAMES),
        threshold=THRESHOLD,
        metrics={},
        corpus={"digest": digest},
        files={},
    )


def log(folder: Path, *models: tuple[str, str], n: int = 30, at: datetime = START, values: Sequence[float] = ()) -> str:
    """Write a log of production with n rows of each model (version, digest), and return its URI."""
    writer = Writer(open_store(str(folder)), "production", clock=at.timestamp)
    for version, sha256 in models:
        row = tuple(values) or (0.1,) * len(features.NAMES)
        writer.append(Rows(["r"] * n, [row] * n, [i / n for i in range(n)], version, sha256))
    assert writer.close(10).waiting == 0
    return str(folder)
