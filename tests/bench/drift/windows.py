"""Baselines and windows of corpus mail: without drift, and with drift of four kinds.

Every draw splits the corpus again. 4,000 mails are the baseline, and the window is drawn from the others without
replacement, so no mail is on both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from inferencelog import MEASURES

BASELINE = 4_000

Indices = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Mails:
    """Mails of the corpus [n], with scores of a model that has not seen them."""

    as_they_are: Columns
    without_html: Columns
    spam: NDArray[np.bool_]
    hard_ham: NDArray[np.bool_]
    group: Indices
    """Number of each mail's group; near-duplicates share a number."""
    threshold: float

    @property
    def count(self) -> int:
        """Return the number of mails."""
        return len(self.spam)


@dataclass(frozen=True, slots=True)
class Draw:
    """Baseline and a window to compare with it."""

    baseline: Columns
    window: Columns


def read_mails(folder: Path) -> Mails:
    """Return the mails that `rows.py` has written."""
    table, stripped = (pq.read_table(folder / name) for name in ("mails.parquet", "no-html.parquet"))
    return Mails(
        as_they_are={name: table[name].to_numpy() for name in MEASURES},
        without_html={name: stripped[name].to_numpy() for name in MEASURES},
        spam=table["spam"].to_numpy(),
        hard_ham=table["hard_ham"].to_numpy(),
        group=table["group"].to_numpy(),
        threshold=float(table.schema.metadata[b"threshold"]),
    )


def undrifted(mails: Mails, rows: int, rng: np.random.Generator) -> Draw:
    """Draw any mails: baseline and window are exchangeable."""
    baseline, rest = _split(mails, rng)
    return Draw(_taken(mails.as_they_are, baseline), _taken(mails.as_they_are, rest[:rows]))


def spam_share(mails: Mails, rows: int, rng: np.random.Generator, share: float) -> Draw:
    """Draw a window in which each mail is spam with probability `share`."""
    baseline, rest = _split(mails, rng)
    count = rng.binomial(rows, share)
    spam, ham = rest[mails.spam[rest]], rest[~mails.spam[rest]]
    window = np.concatenate([spam[:count], ham[: rows - count]])
    assert len(window) == rows
    return Draw(_taken(mails.as_they_are, baseline), _taken(mails.as_they_are, window))


def hard_ham(mails: Mails, rows: int, rng: np.random.Generator) -> Draw:
    """Draw a window whose ham is only hard ham; there is little of it, so it is drawn with replacement."""
    baseline, rest = _split(mails, rng)
    count = rng.binomial(rows, mails.spam.mean())
    spam, hard = rest[mails.spam[rest]], rest[mails.hard_ham[rest]]
    window = np.concatenate([spam[:count], rng.choice(hard, rows - count)])
    return Draw(_taken(mails.as_they_are, baseline), _taken(mails.as_they_are, window))


def no_html(mails: Mails, rows: int, rng: np.random.Generator) -> Draw:
    """Draw a window of any mails, with their HTML stripped."""
    baseline, rest = _split(mails, rng)
    return Draw(_taken(mails.as_they_are, baseline), _taken(mails.without_html, rest[:rows]))


def campaigns(mails: Mails, rows: int, rng: np.random.Generator) -> Draw:
    """Draw a window without drift in which near-duplicates stay together: all of a group, or none."""
    shuffled = rng.permutation(mails.count)
    place = rng.permutation(mails.group.max() + 1)[mails.group[shuffled]]
    order = shuffled[np.argsort(place, kind="stable")]
    return Draw(
        _taken(mails.as_they_are, rng.permutation(order[rows:])[:BASELINE]), _taken(mails.as_they_are, order[:rows])
    )


Scenario = Callable[[Mails, int, np.random.Generator], Draw]

DRIFTED: dict[str, Scenario] = {
    "spam_40": lambda mails, rows, rng: spam_share(mails, rows, rng, 0.40),
    "spam_50": lambda mails, rows, rng: spam_share(mails, rows, rng, 0.50),
    "hard_ham": hard_ham,
    "no_html": no_html,
}
SCENARIOS: dict[str, Scenario] = {"undrifted": undrifted, "campaigns": campaigns, **DRIFTED}


def _split(mails: Mails, rng: np.random.Generator) -> tuple[Indices, Indices]:
    order = rng.permutation(mails.count)
    return order[:BASELINE], order[BASELINE:]


def _taken(columns: Columns, rows: Indices) -> Columns:
    return {name: values[rows] for name, values in columns.items()}
