"""What the named numbers of the training mail are like: what a person compares the numbers of one mail with."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

GROUPS = ("all", "ham", "spam")
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

Quantiles = Mapping[str, Mapping[str, Sequence[float]]]
"""Group of mails -> named number -> its values at `LEVELS`."""


def measure(values: npt.NDArray[np.float64], spam: npt.NDArray[np.int_], names: Sequence[str]) -> Quantiles:
    """Quantiles of each named number over all mails, over ham, and over spam.

    Args:
        values: Named numbers [n, k] of n mails.
        spam: 1 for spam, 0 for ham [n]; some of each.
        names: Of the k numbers.
    """
    rows = {"all": values, "ham": values[spam == 0], "spam": values[spam == 1]}
    # Values that mails had, never one between two: so that a count stays a count.
    found = {group: np.quantile(rows[group], LEVELS, axis=0, method="inverted_cdf") for group in GROUPS}
    return {group: dict(zip(names, found[group].T.tolist(), strict=True)) for group in GROUPS}


def flat(quantiles: Quantiles, names: Sequence[str]) -> list[float]:
    """The quantiles as a tensor [k, groups, levels], row by row, in the order of the names."""
    return [float(value) for name in names for group in GROUPS for value in quantiles[group][name]]


def fault(content: Any, names: Sequence[str]) -> str:
    """What keeps a value read from JSON from being `Quantiles` of these numbers; empty when nothing does."""
    if not isinstance(content, dict) or set(content) != set(GROUPS):
        return f"must have the groups {', '.join(GROUPS)}"
    for group, numbers in content.items():
        if not isinstance(numbers, dict) or set(numbers) != set(names):
            return f"must have each of the model's numbers in group {group!r}"
        for name, values in numbers.items():
            if not _rising(values):
                return f"must have {len(LEVELS)} rising numbers for {name!r} in group {group!r}"
    return ""


def _rising(values: object) -> bool:
    if not isinstance(values, list) or len(values) != len(LEVELS):
        return False
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return False
    # NaN is less than nothing; infinity would be no JSON on the way out.
    return all(low <= high for low, high in pairwise(values)) and bool(np.isfinite(values).all())
