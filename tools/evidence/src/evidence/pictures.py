"""Plots of the comparison, as small PNGs."""

import io
from collections.abc import Iterator

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from evidence.offline import THE_CORPUS, Offline
from evidence.shadow import ShadowResult

matplotlib.use("Agg")

ROC, SCORES, DIFFERENCES, LATENCY = "roc.png", "scores.png", "differences.png", "latency.png"
CANDIDATE_COLOR, PRODUCTION_COLOR = "tab:orange", "tab:blue"
_DOTS = 5000
"""Most dots of a scatter plot; more add only bytes."""


def pictures(offline: Offline | str, shadow: ShadowResult) -> dict[str, bytes]:
    """Return the plots that can be drawn: PNG by file name."""
    return dict(_pictures(offline, shadow))


def _pictures(offline: Offline | str, shadow: ShadowResult) -> Iterator[tuple[str, bytes]]:
    if isinstance(offline, Offline):
        yield ROC, _roc(offline)
    if shadow.agreement.mails:
        yield SCORES, _scores(shadow)
        yield DIFFERENCES, _differences(shadow)
    if shadow.latency:
        yield LATENCY, _latency(shadow)


def _figure() -> Figure:
    return Figure(figsize=(5.5, 3.6), layout="constrained")


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    # Leave out the software's name and version: the same figures then give the same bytes.
    figure.savefig(target, format="png", dpi=90, metadata={"Software": None})
    return target.getvalue()


def _roc(found: Offline) -> bytes:
    figure = _figure()
    axes = figure.subplots()
    sides = (("candidate", found.candidate, CANDIDATE_COLOR), ("production", found.production, PRODUCTION_COLOR))
    for name, scores, color in sides:
        false_positives, true_positives, _ = roc_curve(found.spam, scores)
        # Spam filters work in this corner; a linear axis would show a right angle.
        axes.semilogx(np.maximum(false_positives, 1e-4), true_positives, color=color, label=name, alpha=0.8)
    title = "Corpus, out of fold" if found.on == THE_CORPUS else "Labelled mail"
    axes.set(xlabel="ham called spam", ylabel="spam caught", title=title, xlim=(1e-4, 1))
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return _png(figure)


def _scores(found: ShadowResult) -> bytes:
    figure = _figure()
    axes = figure.subplots()
    table = found.rows
    chosen = np.random.default_rng(0).permutation(table.num_rows)[:_DOTS]
    ours, theirs = (table[name].to_numpy()[chosen] for name in ("probability", "production_probability"))
    axes.plot([0, 1], [0, 1], color="tab:gray", linewidth=0.8)
    axes.scatter(theirs, ours, s=5, alpha=0.3, color=CANDIDATE_COLOR, linewidths=0)
    axes.set(xlabel="production's probability", ylabel="candidate's", title="Shadowed mails", xlim=(0, 1), ylim=(0, 1))
    return _png(figure)


def _differences(found: ShadowResult) -> bytes:
    figure = _figure()
    axes = figure.subplots()
    axes.hist(found.differences, list(np.linspace(-1, 1, 81)), log=True, color=CANDIDATE_COLOR)
    axes.set(xlabel="candidate's probability - production's", ylabel="mails", title="Differences")
    return _png(figure)


def _latency(found: ShadowResult) -> bytes:
    figure = _figure()
    axes = figure.subplots()
    sides = zip(("candidate", "production"), found.seconds, (CANDIDATE_COLOR, PRODUCTION_COLOR), strict=True)
    for name, seconds, color in sides:
        shares = np.linspace(0, 1, 201)
        axes.semilogx(np.quantile(seconds, shares) * 1000, shares, color=color, label=name)
    axes.set(xlabel="milliseconds", ylabel="share of mails", title="Time to answer", ylim=(0, 1.01))
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return _png(figure)
