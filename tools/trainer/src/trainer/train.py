"""Training: from a corpus to a bundle."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
from threadpoolctl import threadpool_limits

import bundle
import features
import manifest
import trainer
from corpus import shown
from inferencelog import EVALUATION_NAME, MEASURES, Baseline, ScoredCorpus, write_baseline, write_scored
from trainer import augment, evaluate, folds, model, report
from trainer.corpus import Corpus, read_corpus
from trainer.errors import TrainerError
from trainer.evaluate import Evaluation, Labels, Progress
from trainer.threshold import ThresholdChoice

MODEL = "spam-detector"
BASELINE_NAME = "baseline.parquet"
CHANCE = 0.5
"""1-AUC of scores that say nothing; templates can be learned even where a corpus cannot."""
SEED = 0
"""Which of the possible copies and templates are learned from."""


def train(
    root: Path,
    out: Path,
    version: str | None,
    force: bool,
    progress: Progress,
    choice: ThresholdChoice = evaluate.DEFAULT,
) -> Path:
    """Train and evaluate on a corpus and write the bundle `<out>/spam-detector/<version>`.

    Args:
        root: Folder of the corpus.
        out: Root of bundles.
        version: Version of the bundle. The default is derived from all inputs, so the same inputs give the same
            version.
        force: Whether to train again if the version already exists.
        progress: Called with each line of progress.
        choice: How the threshold is chosen.

    Returns:
        The bundle's folder.

    Raises:
        CorpusError: If the corpus cannot be used.
        TrainerError: If nothing can be learned from it, or if no threshold separates its spam from its ham.
    """
    # The same input must give the same model, but sums over several threads differ in their last digits.
    with threadpool_limits(limits=1):
        return _train(root, out, version, force, progress, choice)


def _train(
    root: Path, out: Path, version: str | None, force: bool, progress: Progress, choice: ThresholdChoice
) -> Path:
    corpus = read_corpus(root)
    progress(f"corpus {shown(root)}: {corpus.ham_count} ham, {corpus.spam_count} spam")
    if corpus.remarks:
        progress(corpus.remarks)
    version = version or version_of(corpus, choice)
    folder = out / MODEL / version
    if folder.exists() and not force and _is_whole(folder, progress):
        progress(f"{folder} exists already: nothing to do (--force trains it anew)")
        return folder
    groups = folds.near_duplicates(corpus.texts)
    progress(f"{len(set(groups.tolist()))} groups of near-duplicates")
    folds.check(corpus.spam, groups)
    try:
        evaluation, pickled = _learn(corpus, groups, progress, choice)
    except ValueError as error:
        # The message is scikit-learn's, for example that no word occurs in enough mails.
        raise TrainerError(
            f"the corpus cannot be learned from: {error}; add more mail, and more different mail"
        ) from error
    _write(folder, pickled, corpus, evaluation)
    progress(f"wrote {folder}, SHA-256 {bundle.load(folder).sha256}")
    return folder


def _learn(corpus: Corpus, groups: Labels, progress: Progress, choice: ThresholdChoice) -> tuple[Evaluation, bytes]:
    rows = augment.augmented(corpus.mails, corpus.spam, groups, SEED, progress)
    progress(f"{len(rows)} rows to learn from")
    evaluation = evaluate.evaluate(rows, progress, choice)
    figures = evaluation.metrics
    called, caught = figures["false_positive_rate"], figures["spam_caught"]
    progress(f"all folds: 1-AUC {figures['one_minus_auc']:.4%}, ham called spam {called:.2%}, spam caught {caught:.1%}")
    _check_learned(figures["one_minus_auc"])
    _check_threshold(evaluation.threshold, choice)
    progress(f"threshold {evaluation.threshold:.4f}, chosen by {choice}")
    progress(f"final fit on all {len(rows)} rows")
    return evaluation, bundle.dump(model.calibrated(model.learn(rows), evaluation.margins, rows))


def _is_whole(folder: Path, progress: Progress) -> bool:
    """Return whether nothing of a bundle is missing or changed."""
    try:
        manifest.verify(folder)
    except manifest.BundleError as error:
        progress(f"{error}: trained anew")
        return False
    return True


def _check_learned(miss: float) -> None:
    if miss >= CHANCE:
        raise TrainerError(
            f"the corpus cannot be learned from: out of fold, 1-AUC is {miss:.1%}, no better than chance; add more"
            " mail, and more different mail"
        )


def _check_threshold(threshold: float, choice: ThresholdChoice) -> None:
    if not 0 < threshold < 1:
        raise TrainerError(
            f"no threshold tells this corpus's spam from its ham within {choice}: more of the ham scores"
            " as high as any spam; look for mails in the wrong folder, or add mail"
        )


def version_of(corpus: Corpus, choice: ThresholdChoice = evaluate.DEFAULT) -> str:
    """Return twelve hex digits over everything that determines the bundle: mails, settings, libraries, code.

    Other inputs or other code give another name, so no pin ever names two models.
    """
    digest = hashlib.sha256(corpus.digest.encode())
    settings = [model.SETTINGS, augment.SETTINGS, augment.digest(), str(choice)]
    digest.update(json.dumps([features.SCHEMA_VERSION, model.COLUMNS, *settings, bundle.libraries()]).encode())
    digest.update("\n".join(corpus.texts).encode() + corpus.values.tobytes())
    for package in (trainer, features, manifest, bundle):
        for source in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _write(folder: Path, pickled: bytes, corpus: Corpus, evaluation: Evaluation) -> None:
    files = {
        EVALUATION_NAME: write_scored(_scored(pickled, corpus, evaluation)),
        BASELINE_NAME: write_baseline(_baseline(folder.name, corpus, evaluation)),
        report.CURVES_NAME: report.curves(corpus.spam, evaluation),
        report.CARD_NAME: report.card(MODEL, folder.name, corpus, evaluation).encode(),
    }
    bundle.write(
        folder,
        pickled,
        name=MODEL,
        version=folder.name,
        feature_schema_version=features.SCHEMA_VERSION,
        columns=model.COLUMNS,
        threshold=evaluation.threshold,
        threshold_chosen_by=str(evaluation.choice),
        metrics=evaluation.metrics,
        corpus={"digest": corpus.digest, "ham": corpus.ham_count, "spam": corpus.spam_count},
        files=files,
        feature_quantiles=bundle.quantiles.measure(corpus.values, corpus.spam, features.NAMES),
        replace=True,
    )


def _baseline(version: str, corpus: Corpus, evaluation: Evaluation) -> Baseline:
    """Return features and scores of the training mail, for the drift detector to compare with.

    The scores are out of fold. The model is too sure of its own training mails, so against those scores all later mail
    would look like drift.
    """
    return Baseline(
        table=pa.Table.from_arrays([*map(pa.array, corpus.values.T.copy()), pa.array(evaluation.scores)], [*MEASURES]),
        model_name=MODEL,
        model_version=version,
        # The digest is that of model.json, which lists this file; readers of the baseline take it from there.
        model_sha256="",
        feature_schema_version=features.SCHEMA_VERSION,
        threshold=evaluation.threshold,
        source=f"training corpus of {len(corpus.texts)} mails, scored out of fold",
    )


def _scored(pickled: bytes, corpus: Corpus, evaluation: Evaluation) -> ScoredCorpus:
    """Return the scores of each mail, so that a later model can be compared mail by mail."""
    return ScoredCorpus(
        mails=corpus.mail_digests,
        spam=corpus.spam,
        folds=evaluation.folds,
        scores=evaluation.scores,
        model_file_sha256=hashlib.sha256(pickled).hexdigest(),
        corpus_digest=corpus.digest,
    )
