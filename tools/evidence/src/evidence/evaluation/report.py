"""Report of an evaluation: a table for people, JSON for programs, plots and scores beside them."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from corpus import shown
from evidence.evaluation import plots
from evidence.evaluation.comparison import Comparison, Discordant
from evidence.evaluation.figures import Figures, Share, Step
from evidence.evaluation.models import RESULT_NAME, SCORES_NAME
from evidence.evaluation.scores import LabelledMails, ModelScores
from inferencelog import ScoredCorpus, write_scored
from manifest import MODEL_NAME

FORMAT = 1
TABLE_NAME = "evaluation.txt"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Evaluation of one model, or of two on the same mails."""

    mails: LabelledMails
    found: list[ModelScores]
    figures: list[Figures]
    comparison: Comparison | None
    """Comparison of the first model with the second; None for one model."""

    def as_json(self) -> dict[str, Any]:
        """Return the content of evaluation.json."""
        mails = self.mails
        return {
            "format": FORMAT,
            "corpus": {
                "path": shown(mails.path),
                "digest": mails.digest,
                "mails": len(mails.spam),
                "spam": int(mails.spam.sum()),
                "remarks": mails.remarks,
            },
            "models": [_model(*each) for each in zip(self.found, self.figures, strict=True)],
            "comparison": self.comparison and self.comparison.as_json(),
        }


def _model(found: ModelScores, figures: Figures) -> dict[str, Any]:
    model = found.model
    return {
        "version": model.version,
        "sha256": model.sha256,
        "feature_schema_version": model.feature_schema_version,
        "threshold": model.threshold,
        "scored_out_of_fold": found.learned,
        **asdict(figures),
    }


def write(evaluation: Evaluation, folder: Path) -> None:
    """Write all files into a folder, in place of those of an earlier evaluation.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RESULT_NAME, TABLE_NAME, SCORES_NAME, plots.CURVES_NAME, plots.RELIABILITY_NAME):
        (folder / name).unlink(missing_ok=True)
    mails, found = evaluation.mails, evaluation.found
    if evaluation.figures[0].auc:
        (folder / plots.CURVES_NAME).write_bytes(plots.curves(mails.spam, found))
    (folder / plots.RELIABILITY_NAME).write_bytes(plots.reliability(found, evaluation.figures))
    (folder / SCORES_NAME).write_bytes(write_scored(_scored(mails, found[0])))
    (folder / TABLE_NAME).write_text(as_text(evaluation))
    # Write the JSON last: a folder that has it is whole.
    (folder / RESULT_NAME).write_text(json.dumps(evaluation.as_json(), indent=2, allow_nan=False) + "\n")


def _scored(mails: LabelledMails, found: ModelScores) -> ScoredCorpus:
    bundle = found.model.bundle
    return ScoredCorpus(
        mails=mails.mails,
        spam=mails.spam.astype(np.int_),
        folds=np.zeros(len(mails.spam), np.int_),
        scores=found.scores,
        model_file_sha256=bundle.manifest.files[MODEL_NAME] if bundle else "",
        corpus_digest=mails.digest,
    )


def as_text(evaluation: Evaluation) -> str:
    """Return the tables for people."""
    tables = _aligned([*_table(evaluation), [], *_sweep(evaluation)])
    parts = [_head(evaluation), tables, _compared(evaluation.comparison)]
    return "\n".join(line for part in parts for line in [*part, ""])


def _aligned(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()


def _head(evaluation: Evaluation) -> Iterator[str]:
    yield f"corpus: {evaluation.mails}"
    if evaluation.mails.remarks:
        yield evaluation.mails.remarks
    for each in evaluation.found:
        if each.learned:
            yield f"model {each.model.version} learned from {each.learned:,} of these mails: those count out of fold"
    if not evaluation.figures[0].auc:
        yield "AUC is undefined: it takes two mails of each kind or more"


def _table(evaluation: Evaluation) -> Iterator[list[str]]:
    found, figures = evaluation.found, evaluation.figures
    yield ["model", *(each.model.version for each in found)]
    yield ["AUC", *(_auc(each) for each in figures)]
    yield ["threshold", *(f"{each.model.threshold:.4f}" for each in found)]
    yield ["ham called spam", *(_share(each.ham_called_spam) for each in figures)]
    yield ["spam caught", *(_share(each.spam_caught) for each in figures)]
    yield ["expected calibration error", *(f"{each.calibration_error:.4f}" for each in figures)]
    yield ["Brier score", *(f"{each.brier:.4f}" for each in figures)]


def _sweep(evaluation: Evaluation) -> Iterator[list[str]]:
    figures = evaluation.figures
    if not figures[0].sweep:
        yield ["There is no ham to choose a threshold by."]
        return
    yield ["ham called spam, at most", *("threshold: spam caught" for _ in figures)]
    for steps in zip(*(each.sweep for each in figures), strict=True):
        most = int(steps[0].limit * steps[0].ham_called_spam.of)
        yield [f"{steps[0].limit:.1%}, {most:,} {'mail' if most == 1 else 'mails'}", *map(_step, steps)]


def _step(step: Step) -> str:
    threshold = "none" if step.threshold is None else f"{step.threshold:.4f}"
    return f"{threshold}: {_share(step.spam_caught)}"


def _compared(found: Comparison | None) -> Iterator[str]:
    if found is None:
        return
    if found.auc:
        low, high = found.auc.interval
        yield (
            f"AUC, first less second: {found.auc.difference:+.4f} (95 % {low:+.4f} to {high:+.4f}),"
            f" DeLong p {found.auc_p:.3g}"
        )
    yield _discordant("ham called spam", found.ham)
    yield _discordant("spam missed", found.spam)


def _discordant(what: str, found: Discordant) -> str:
    return (
        f"{what} at each one's threshold: {found.first_only} only by the first, {found.second_only} only by the second,"
        f" McNemar p {found.p:.3g}"
    )


def _auc(figures: Figures) -> str:
    if not figures.auc:
        return "undefined"
    low, high = figures.auc.interval
    return f"{figures.auc.area:.4f} (95 % {low:.4f} to {high:.4f})"


def _share(found: Share | None) -> str:
    if not found:
        return "undefined"
    low, high = found.interval
    return f"{found.share:.2%} ({low:.2%} to {high:.2%}), {found.count:,} of {found.of:,}"
