"""Reports on a model for people: a picture of its curves, and a model card."""

import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

import features
from trainer import augment
from trainer.corpus import Corpus
from trainer.evaluate import CopyFigures, Evaluation, Floats, Labels
from trainer.threshold import ThresholdChoice

CURVES_NAME = "curves.png"
CARD_NAME = "model-card.md"

matplotlib.use("Agg")


def curves(spam: Labels, evaluation: Evaluation) -> bytes:
    """Return ROC, precision over recall and the distribution of out-of-fold scores, as one PNG."""
    figure = Figure(figsize=(15, 4.5), layout="constrained")
    roc, precision, distribution = figure.subplots(1, 3)
    _draw_roc(roc, spam, evaluation)
    _draw_precision(precision, spam, evaluation)
    _draw_distribution(distribution, spam, evaluation.scores, evaluation.threshold)
    target = io.BytesIO()
    # Leave out the software's name and version: the same figures then give the same bytes.
    figure.savefig(target, format="png", dpi=100, metadata={"Software": None})
    return target.getvalue()


def _draw_roc(axes: Axes, spam: Labels, evaluation: Evaluation) -> None:
    false_positives, true_positives, _ = roc_curve(spam, evaluation.scores)
    # Spam filters work in this corner; a linear axis would show a right angle.
    axes.semilogx(np.maximum(false_positives, 1e-4), true_positives, color="tab:blue")
    called = evaluation.metrics["false_positive_rate"]
    at = evaluation.choice.limit if evaluation.choice.given is None else called
    axes.axvline(max(at, 1e-4), color="tab:gray", linestyle="--", label=f"{_percent(at)} of ham")
    axes.set(xlabel="ham called spam", ylabel="spam caught", xlim=(1e-4, 1), ylim=(0.5, 1.005))
    axes.set_title(f"ROC, 1-AUC {evaluation.metrics['one_minus_auc']:.4%}")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)


def _draw_precision(axes: Axes, spam: Labels, evaluation: Evaluation) -> None:
    precision, recall, _ = precision_recall_curve(spam, evaluation.scores)
    axes.plot(recall, precision, color="tab:blue")
    axes.set(xlabel="recall: spam caught", ylabel="precision", xlim=(0.5, 1.005), ylim=(0.9, 1.002))
    axes.set_title("Precision over recall")
    axes.grid(alpha=0.3)


def _draw_distribution(axes: Axes, spam: Labels, scores: Floats, threshold: float) -> None:
    bins = list(np.linspace(0, 1, 51))
    axes.hist(scores[spam == 0], bins, log=True, alpha=0.6, label="ham", color="tab:green")
    axes.hist(scores[spam == 1], bins, log=True, alpha=0.6, label="spam", color="tab:red")
    axes.axvline(threshold, color="tab:gray", linestyle="--", label=f"threshold {threshold:.3f}")
    axes.set(xlabel="spam probability (out of fold)", ylabel="mails", title="Scores")
    axes.legend(loc="upper center")


_CARD = """# {name} {version}

A linear support vector machine over the words of a mail and {numbers} named numbers, calibrated to a probability.
One scikit-learn pipeline; feature schema {schema}.

## Intended use
Scores e-mail for spam: plain text or whole RFC 5322 messages, mostly English. It is made to show and to measure a
serving path, and for filters whose users see a spam folder. It is not for deleting mail unseen, and no judge of
people who write.

## Corpus
{ham} ham and {spam} spam, SHA-256 `{digest}`.
Only subject and text parts are used: transport headers tell where a corpus was collected, not what is spam.

The corpus holds whole messages of its years. So the model also learns from copies of each mail, and from filled
templates of mail that is written today. A mail weighs 1:

| what | copies | weight of ham | weight of spam |
|---|---|---|---|
{learned}

## Evaluation
{folds} folds, near-duplicates (cosine of word sets of 0.9 or more) kept in one fold, scores out of fold. A copy is in
its mail's fold, and all copies of a template are in one. The first table is of the mails alone.

| metric | value |
|---|---|
| 1-AUC, all folds pooled | {one_minus_auc:.4%} |
| 1-AUC by fold | {by_fold} |
| ham called spam at the threshold | {false_positive_rate:.2%} |
| spam caught at the threshold | {spam_caught:.1%} |
| spam caught at 0.1% false positives | {spam_caught_at_one_in_a_thousand:.1%} |
| Brier score | {brier_score:.4f} |
| expected calibration error | {expected_calibration_error:.4f} |

| what | ham called spam | spam caught | expected calibration error |
|---|---|---|---|
{copies}

![ROC, precision over recall, distribution of scores](curves.png)

## Threshold
A mail is called spam at a probability of {threshold:.4f} or more, chosen by `{choice}`.
{chosen}
Choose it anew on mail of your own: `MAX_FALSE_POSITIVES` or `THRESHOLD` for the next training, or
`global.model.threshold` for one environment.

## Limits
- Evaluated within one corpus. On mail of other years, languages or users it will be worse than these figures:
  the drift job tells when mail has changed, a corpus of your own mends it.
- Short mail was learned from pieces of long mail and from templates. A piece of spam may be harmless by itself, so what
  is caught of excerpts is no more than a hint.
- A sender who knows the model can add harmless words; only the first {text_limit:,} characters of text are looked at.
- Pictures and attachments are counted, not read.

## Numbers
| name | meaning |
|---|---|
{table}
"""


_BY_HAM = """It is the lowest out-of-fold score that at most {limit} of the ham reaches: of mails, copies and templates
together. These are harder than the corpus's mails, and nearer to other people's."""
_GIVEN = """It was given, not measured: what it does to ham and spam out of fold, the table says."""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _chosen(choice: ThresholdChoice) -> str:
    """Return the sentences on how the threshold was chosen."""
    return _BY_HAM.format(limit=_percent(choice.limit)) if choice.given is None else _GIVEN


def _learned() -> str:
    """Return a table row for each kind of copy that is learned from."""
    kinds = [(kind, each) for kind, each in augment.SETTINGS.items() if isinstance(each, dict) and each["copies"]]
    return "\n".join(f"| {kind} | {each['copies']} | {each['ham']:g} | {each['spam']:g} |" for kind, each in kinds)


def _copies(figures: CopyFigures) -> str:
    lines = []
    for kind, each in figures.items():
        called = f"{each['ham_called_spam']:.2%}" if "ham_called_spam" in each else ""
        caught = f"{each['spam_caught']:.1%}" if "spam_caught" in each else ""
        lines.append(f"| {kind} | {called} | {caught} | {each['expected_calibration_error']:.4f} |")
    return "\n".join(lines)


def card(name: str, version: str, corpus: Corpus, evaluation: Evaluation) -> str:
    """Return the model card (Mitchell et al. 2019) in Markdown."""
    figures: dict[str, Any] = dict(evaluation.metrics)
    return _CARD.format(
        **figures,
        learned=_learned(),
        copies=_copies(evaluation.copies),
        name=name,
        version=version,
        numbers=len(features.NAMES),
        schema=features.SCHEMA_VERSION,
        ham=corpus.ham_count,
        spam=corpus.spam_count,
        digest=corpus.digest,
        folds=len(figures["one_minus_auc_by_fold"]),
        by_fold=", ".join(f"{miss:.4%}" for miss in figures["one_minus_auc_by_fold"]),
        threshold=evaluation.threshold,
        choice=evaluation.choice,
        chosen=_chosen(evaluation.choice),
        text_limit=features.TEXT_LIMIT,
        table="\n".join(f"| `{number}` | {meaning} |" for number, meaning in features.DESCRIPTIONS.items()),
    )
