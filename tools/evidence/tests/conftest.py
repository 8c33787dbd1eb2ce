"""Fixtures: two real models, their bundles, a scratch repository that pins them, and a log of shadowed mails."""

import dataclasses
import hashlib
import os
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from s3_server import s3_server

import bundle
import features
from evidence.build import EvidenceSettings
from inferencelog import (
    EVALUATION_NAME,
    Prediction,
    ProductionAnswer,
    ScoredCorpus,
    ShadowChunk,
    ShadowRows,
    Writer,
    open_shadow,
    write_scored,
)
from trainer import evaluate, folds, model
from trainer.augment import Rows
from trainer.corpus import Corpus, read_corpus

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
START = NOW - timedelta(hours=2)
COMMON = [f"common{n}" for n in range(40)]
HAM, SPAM = [f"ham{n}" for n in range(60)], [f"spam{n}" for n in range(60)]


def mail(spam: bool, seed: int) -> str:
    """Return a mail whose few telling words are sometimes the other kind's, so that no model gets all mails right."""
    chosen = random.Random(2 * seed + spam)
    ours, theirs = (SPAM, HAM) if spam else (HAM, SPAM)
    words = [*chosen.choices(COMMON, k=20), *chosen.choices(ours, k=5), *chosen.choices(theirs, k=3)]
    chosen.shuffle(words)
    return f"Subject: {words[0]}\n\n{' '.join(words)}\n"


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("corpus")
    for kind in ("ham", "spam"):
        (root / kind).mkdir()
        for seed in range(250):
            (root / kind / f"{seed:04d}").write_text(mail(kind == "spam", seed))
    return read_corpus(root)


def train(corpus: Corpus, folder: Path, wrong: float = 0.0, c: float = 1.0) -> Path:
    """Return the bundle of a model that learns the wrong kind of a share of the mails; the right kind judges it."""
    groups = folds.near_duplicates(corpus.texts)
    flipped = np.random.default_rng(0).permutation(len(corpus.spam))[: int(wrong * len(corpus.spam))]
    told = corpus.spam.copy()
    told[flipped] = 1 - told[flipped]
    weights, places = np.ones(len(told)), np.arange(len(told))
    rows = Rows(corpus.texts, corpus.values, told, groups, weights, ["mail"] * len(told), places)
    scores, numbers = np.empty(len(told)), np.empty(len(told), np.int_)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(model.SETTINGS, "svm_c", c)
        for number, (learned, left) in enumerate(folds.split(corpus.spam, groups)):
            fitted = model.fit(rows.take(learned))
            frame = model.table([corpus.texts[place] for place in left], corpus.values[left])
            scores[left], numbers[left] = fitted.predict_proba(frame)[:, 1], number
        pickled = bundle.dump(model.fit(rows))
    sha256 = hashlib.sha256(pickled).hexdigest()
    scored = ScoredCorpus(corpus.mail_digests, corpus.spam, numbers, scores, sha256, corpus.digest)
    write_bundle(folder, pickled, scored, evaluate.threshold_at(corpus.spam, scores, 0.05))
    return folder


def write_bundle(folder: Path, pickled: bytes, scored: ScoredCorpus | None, threshold: float = 0.5) -> Path:
    bundle.write(
        folder,
        pickled,
        name="spam-detector",
        version=folder.name,
        feature_schema_version=features.SCHEMA_VERSION,
        columns=model.COLUMNS,
        threshold=threshold,
        metrics={},
        corpus={},
        files={} if scored is None else {EVALUATION_NAME: write_scored(scored)},
        replace=True,
    )
    return folder


@dataclasses.dataclass(frozen=True)
class Bundles:
    """Folders of models by the way they were trained."""

    production: Path
    better: Path
    """Model like production's, with a little less regularization."""
    worse: Path
    """Model that learned the wrong kind of a tenth of the mails."""


@pytest.fixture(scope="session")
def bundles(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    root = tmp_path_factory.mktemp("bundles")
    return Bundles(
        train(corpus, root / "old"), train(corpus, root / "better", c=1.2), train(corpus, root / "worse", wrong=0.1)
    )


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a bucket in a real S3 server, which this process may use."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        os.environ.update(server.variables)
        yield server.uri


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a repository with both environments."""
    for environment, namespace in (("staging", "serving-staging"), ("production", "serving")):
        folder = tmp_path / "repository/environments" / environment
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump({"name": environment, "namespace": namespace}))
    return tmp_path / "repository"


def configure(root: Path, **thresholds: object) -> None:
    path = root / "environments/production/config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "evidence": thresholds}))


@pytest.fixture
def settings(root: Path, bundles: Bundles) -> EvidenceSettings:
    """Return settings for the candidate that is as good as production, without Prometheus."""
    return EvidenceSettings(
        root, "staging", "production", bundles.better, bundles.production, str(root / "log"), "", timedelta(days=7)
    )


def answers(
    pair: Bundles | tuple[Path, Path],
    said: Sequence[tuple[str, Prediction, Prediction]],
    seconds: tuple[float, float] = (0.01, 0.01),
    position: int = 0,
    batch_mails: int = 1,
) -> list[ShadowRows]:
    """Return one batch for each mail: request id, production's prediction, the candidate's.

    Production had the mail in a batch of `batch_mails`.
    """
    candidate, production = (pair.better, pair.production) if isinstance(pair, Bundles) else pair
    ours, theirs = (bundle.read_manifest(folder) for folder in (candidate, production))
    score = {"spam": 0.75, "ham": 0.25}
    return [
        ShadowRows(
            request_ids=[request],
            positions=[position],
            values=[[float(number)] * len(features.NAMES)],
            probabilities=[score[new]],
            predictions=[new],
            model_version=ours.version,
            model_sha256=ours.sha256,
            seconds=seconds[0],
            production=[ProductionAnswer(theirs.version, theirs.sha256, score[old], old, seconds[1], batch_mails)],
        )
        for number, (request, old, new) in enumerate(said)
    ]


def mails(count: int, *different: int) -> list[tuple[str, Prediction, Prediction]]:
    """Return mails of which production calls every third spam; the candidate disagrees on those in `different`."""
    kinds: list[Prediction] = ["spam" if n % 3 == 0 else "ham" for n in range(count)]
    other: dict[Prediction, Prediction] = {"spam": "ham", "ham": "spam"}
    return [(f"r{n}", kind, other[kind] if n in different else kind) for n, kind in enumerate(kinds)]


def shadow(settings: EvidenceSettings, rows: Sequence[ShadowRows], at: datetime = START) -> None:
    """Write shadowed mails as the candidate's transformer does."""
    writer = Writer(open_shadow(settings.log_uri), "staging", clock=at.timestamp, buffer=ShadowChunk)
    for each in rows:
        writer.append(each)
    assert writer.close(10).waiting == 0
