"""Evaluation of one model or two."""

from collections.abc import Sequence
from pathlib import Path

from evidence.errors import EvidenceError
from evidence.evaluation.comparison import compare
from evidence.evaluation.figures import figures
from evidence.evaluation.models import open_model
from evidence.evaluation.report import Evaluation
from evidence.evaluation.scores import Progress, score


def evaluate(root: Path, places: Sequence[str], progress: Progress) -> Evaluation:
    """Evaluate the models of one or two places on labelled mail.

    Args:
        root: Labelled mail in any form that training takes.
        places: Folders or URIs of bundles, or folders of earlier evaluations.
        progress: Called with a line every two seconds.

    Raises:
        CorpusError: If the mail cannot be read.
        EvidenceError: If a model or the mail cannot be used.
    """
    models = [open_model(place) for place in places]
    if len(models) == 2 and models[0].sha256 == models[1].sha256:
        raise EvidenceError(f"both models are {models[0].version}; there is nothing to compare")
    mails, found = score(root, models, progress)
    compared = compare(mails.spam, *found) if len(found) == 2 else None
    return Evaluation(mails, found, [figures(mails.spam, each) for each in found], compared)
