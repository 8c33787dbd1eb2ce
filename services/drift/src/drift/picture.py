"""Histograms of a measure's values in the baseline and in current mail, for people to look at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from drift.compare import Values

BARS = 14
"""Approximate number of bars that fit a card."""
WHOLE_LIMIT = 12
"""Widest range of whole numbers in which each number gets its own bar."""
LOGARITHMIC_FROM, CROWDED = 8, 5
"""Conditions of a logarithmic scale: high / low above the first factor, and high / median above the second."""
CLOSER_BELOW = 60
"""Span (high / low) up to which a logarithmic scale has six bars a decade instead of three."""
WIDEST = 1e5
"""Largest span of a logarithmic scale; smaller values share the first bar."""
TAIL = 0.01
"""Share of mails at each end that the outermost bars absorb."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin of a histogram."""

    low: float | None
    """Least value in the bin; None for no limit."""
    high: float | None
    """Value that the bin's values stay below; None for no limit. In a bin of a single value it equals `low`."""
    baseline: float
    """Share of the baseline's mails, 0 to 1."""
    current: float


@dataclass(frozen=True, slots=True)
class Picture:
    """Figures of both distributions."""

    bars: list[Bar]
    medians: tuple[float, float]
    """Medians of baseline and current."""
    split: float
    """Value where the shares of mails up to it differ most; the distance is measured there."""
    above: tuple[float, float]
    """Shares of mails above `split`, 0 to 1: baseline, current."""


def picture(baseline: Values, current: Values, *, linear: bool = False) -> Picture:
    """Return both distributions over common bins; a few whole numbers get a bar each.

    Args:
        linear: Whether bins are always equally wide. Otherwise zero has its own bar, and the scale is logarithmic where
            most values would share one bar.
    """
    old, new = np.sort(baseline), np.sort(current)
    split = _widest_gap(old, new)
    return Picture(
        bars=_bars(old, new, linear),
        medians=(float(old[len(old) // 2]), float(new[len(new) // 2])),
        split=split,
        above=(_above(old, split), _above(new, split)),
    )


def share_picture(baseline: float, current: float) -> Picture:
    """Return two shares of mail, 0 to 1, as a bar for no (0) and a bar for yes (1)."""
    bars = [Bar(0.0, 0.0, 1 - baseline, 1 - current), Bar(1.0, 1.0, baseline, current)]
    return Picture(bars, (float(baseline > 0.5), float(current > 0.5)), 0.0, (baseline, current))


def _widest_gap(old: Values, new: Values) -> float:
    points = np.concatenate([_different(old), _different(new)])
    gaps = np.searchsorted(old, points, side="right") / len(old) - np.searchsorted(new, points, side="right") / len(new)
    return float(points[np.argmax(np.abs(gaps))])


def _different(ordered: Values) -> Values:
    last_of_each: Values = ordered[np.append(ordered[1:] != ordered[:-1], True)]
    return last_of_each


def _above(ordered: Values, value: float) -> float:
    return 1 - int(np.searchsorted(ordered, value, side="right")) / len(ordered)


def _bars(old: Values, new: Values, linear: bool) -> list[Bar]:
    low, high = min(_at(old, TAIL), _at(new, TAIL)), max(_at(old, 1 - TAIL), _at(new, 1 - TAIL))
    whole = all(bool((values == np.floor(values)).all()) for values in (old, new))
    if whole and high - low <= WHOLE_LIMIT:
        return _counted(old, new, [float(edge) for edge in range(int(low), int(high) + 2)], single=True)
    if linear:
        return _counted(old, new, _linear(low, high))
    zeros = min(old[0], new[0]) == 0
    least, middle = _positive(old, new) if zeros else (low, _at(new, 0.5))
    if least > 0 and high / least > LOGARITHMIC_FROM and high / middle > CROWDED:
        edges = [edge for edge in _logarithmic(least, high) if not whole or edge == int(edge)]
    else:
        edges = _linear(0.0 if zeros and least < high / 2 else least, high)
    return _counted(old, new, edges, zeros=zeros)


def _at(ordered: Values, share: float) -> float:
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def _positive(old: Values, new: Values) -> tuple[float, float]:
    """Return the low end and the median of the values above zero."""
    above = [values[np.searchsorted(values, 0, side="right") :] for values in (old, new)]
    some = [values for values in above if len(values)]
    return min((_at(values, TAIL) for values in some), default=0.0), min((_at(v, 0.5) for v in some), default=0.0)


def _linear(low: float, high: float) -> list[float]:
    """Return edges at multiples of 1, 2 or 5 times a power of ten."""
    if high <= low:
        return [low, low]
    step = _round_up((high - low) / BARS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _round_up(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def _logarithmic(low: float, high: float) -> list[float]:
    """Return edges 1, 2, 5, 10, 20, 50, … around the values, and closer ones if the span is small."""
    low = max(low, high / WIDEST)
    factors = (1, 2, 5) if high / low > CLOSER_BELOW else (1, 1.5, 2, 3, 5, 7)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    edges = [factor * 10.0**power for power in powers for factor in factors]
    first = max(place for place, edge in enumerate(edges) if edge <= low)
    last = min((place for place, edge in enumerate(edges) if edge >= high), default=len(edges) - 1)
    return edges[first : last + 1]


def _counted(
    old: Values, new: Values, edges: Sequence[float], *, single: bool = False, zeros: bool = False
) -> list[Bar]:
    """Count the values in [edge, next edge); values beyond either end belong to the outermost bars.

    Args:
        single: Whether each bar is one whole number.
        zeros: Whether zero has its own bar before the others.
    """
    inner = np.array(edges[1:-1])
    parts = [_parts(values, inner, zeros) for values in (old, new)]
    lows: list[float | None] = list(edges[:-1])
    highs: list[float | None] = [*edges[:-1]] if single else [*edges[1:]]
    if len(edges) > 1 and max(old[-1], new[-1]) >= edges[-1] > edges[0]:
        highs[-1] = None
    if not zeros and min(old[0], new[0]) < edges[0]:
        lows[0] = None
    if zeros:
        lows, highs = [0.0, *lows], [0.0, *highs]
    return [Bar(*each) for each in zip(lows, highs, *parts, strict=True)]


def _parts(ordered: Values, inner: Values, zeros: bool) -> list[float]:
    """Return the share of mails in each bar."""
    none = int(np.searchsorted(ordered, 0, side="right")) if zeros else 0
    limits = [none, *np.maximum(np.searchsorted(ordered, inner, side="left"), none).tolist(), len(ordered)]
    counts = [right - left for left, right in pairwise(limits)]
    return [count / len(ordered) for count in ([none, *counts] if zeros else counts)]
