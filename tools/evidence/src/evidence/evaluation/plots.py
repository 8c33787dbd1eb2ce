"""Plots of an evaluation, as small PNGs."""

import io

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from evidence.evaluation.figures import Bin, Figures
from evidence.evaluation.scores import ModelScores
from evidence.pairs import Flags

matplotlib.use("Agg")

CURVES_NAME, RELIABILITY_NAME = "curves.png", "reliability.png"
COLORS = ("tab:blue", "tab:orange")
STYLES = {"tab:blue": "-", "tab:orange": "--"}
"""Line style by color, so that curves that coincide are both seen."""
LEAST_SHARE = 1e-4
"""Left end of the logarithmic axis of ham called spam."""


def curves(spam: Flags, found: list[ModelScores]) -> bytes:
    """Return ROC and precision over recall of models, with each one's own threshold marked; both kinds are needed."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    roc, precision = figure.subplots(1, 2)
    for each, color in zip(found, COLORS, strict=False):
        _draw_roc(roc, spam, each, color)
        _draw_precision(precision, spam, each, color)
    roc.set(xlabel="ham called spam", ylabel="spam caught", title="ROC", xlim=(LEAST_SHARE, 1))
    precision.set(xlabel="recall: spam caught", ylabel="precision", title="Precision over recall", xlim=(0, 1.01))
    for axes in (roc, precision):
        axes.grid(alpha=0.3)
        axes.legend(loc="best", fontsize="small")
    return _png(figure)


def _draw_roc(axes: Axes, spam: Flags, found: ModelScores, color: str) -> None:
    false_positives, true_positives, _ = roc_curve(spam, found.scores)
    # Spam filters work at few false positives; a linear axis would show only a right angle.
    axes.semilogx(
        np.maximum(false_positives, LEAST_SHARE), true_positives, STYLES[color], color=color, label=found.model.version
    )
    point = max(found.called[~spam].mean(), LEAST_SHARE), found.called[spam].mean()
    axes.plot(*point, "o", color=color, label=f"at its threshold, {found.model.threshold:.3f}")


def _draw_precision(axes: Axes, spam: Flags, found: ModelScores, color: str) -> None:
    precision, recall, _ = precision_recall_curve(spam, found.scores)
    axes.plot(recall, precision, STYLES[color], color=color, label=found.model.version)
    if found.called.any():
        axes.plot(found.called[spam].mean(), spam[found.called].mean(), "o", color=color)


def reliability(found: list[ModelScores], figures: list[Figures]) -> bytes:
    """Return the share of spam over the probability in each bin with its interval, and how many mails each bin has."""
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="tab:gray", linewidth=0.8)
    for each, of_model, color in zip(found, figures, COLORS, strict=False):
        _draw_bins(above, of_model.bins, color, f"{each.model.version}, error {of_model.calibration_error:.3f}")
        below.hist(each.scores, list(np.linspace(0, 1, 41)), log=True, color=color, alpha=0.5)
    above.set(ylabel="share of spam", title="Reliability", xlim=(0, 1), ylim=(-0.01, 1.01))
    above.legend(loc="upper left", fontsize="small")
    above.grid(alpha=0.3)
    below.set(xlabel="spam probability", ylabel="mails")
    return _png(figure)


def _draw_bins(axes: Axes, bins: list[Bin], color: str, label: str) -> None:
    shares = np.array([each.spam.share for each in bins])
    low, high = np.array([each.spam.interval for each in bins]).T
    reach = np.maximum([shares - low, high - shares], 0)
    axes.errorbar(
        [each.mean_probability for each in bins],
        shares,
        reach,
        fmt=f"o{STYLES[color]}",
        color=color,
        label=label,
        capsize=2,
    )


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    # Leave out the software's name and version: the same figures then give the same bytes.
    figure.savefig(target, format="png", dpi=90, metadata={"Software": None})
    return target.getvalue()
