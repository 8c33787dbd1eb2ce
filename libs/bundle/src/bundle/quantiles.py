"""Quantiles of the named numbers of the training mail, against which a person reads the numbers of one mail."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from manifest import GROUPS, LEVELS, Quantiles

__all__ = ["GROUPS", "LEVELS", "Quantiles", "flat", "measure"]


def measure(values: npt.NDArray[np.float64], spam: npt.NDArray[np.int_], names: Sequence[str]) -> Quantiles:
    """Return the quantiles of each named number over all mails, over ham, and over spam.

    Args:
        values: Named numbers [n, k] of n mails.
        spam: 1 for spam, 0 for ham [n]; some of each.
        names: Names of the k numbers.
    """
    rows = {"all": values, "ham": values[spam == 0], "spam": values[spam == 1]}
    # Without interpolation: a quantile is a value that some mail had, so a count stays a whole number.
    found = {group: np.quantile(rows[group], LEVELS, axis=0, method="inverted_cdf") for group in GROUPS}
    return {group: dict(zip(names, found[group].T.tolist(), strict=True)) for group in GROUPS}


def flat(quantiles: Quantiles, names: Sequence[str]) -> list[float]:
    """Return the quantiles as a tensor [k, groups, levels] in row-major order, in the order of the names."""
    return [float(value) for name in names for group in GROUPS for value in quantiles[group][name]]
