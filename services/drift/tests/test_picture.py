"""Tests of histograms that people can read."""

import numpy as np
import pytest

from drift.picture import Bar, Picture, picture, share_picture

RNG = np.random.default_rng(0)


def edges(found: Picture) -> list[float | None]:
    return [bar.low for bar in found.bars]


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(
    ("baseline", "current"),
    [
        (np.zeros(10), np.zeros(20)),
        (np.full(10, 0.25), np.full(20, 0.25)),
        (np.zeros(10), np.full(20, 7.0)),
        (np.array([3.0]), np.array([0.5])),
        (RNG.poisson(2, 400), RNG.poisson(3, 300)),
        (RNG.lognormal(6, 2, 400), RNG.lognormal(6, 2, 300)),
        (np.floor(RNG.lognormal(4, 2, 400)), np.floor(RNG.lognormal(5, 2, 300))),
        (RNG.random(400), RNG.random(300) / 1_000),
        (RNG.random(400) * (RNG.random(400) < 0.3), RNG.random(300)),
        (RNG.normal(0, 5, 400), RNG.normal(2, 5, 300)),
        (np.float32(RNG.beta(0.1, 0.1, 400)), np.float32(RNG.beta(0.1, 0.2, 300))),
    ],
)
def test_each_mail_is_in_one_bar(baseline: np.ndarray, current: np.ndarray, linear: bool) -> None:  # type: ignore[type-arg]
    found = picture(baseline, current, linear=linear)
    assert sum(bar.baseline for bar in found.bars) == pytest.approx(1)
    assert sum(bar.current for bar in found.bars) == pytest.approx(1)
    assert 1 <= len(found.bars) <= 32
    lows = [bar.low for bar in found.bars if bar.low is not None]
    assert lows == sorted(lows)
    for values, side in ((baseline, "baseline"), (current, "current")):
        for bar in found.bars:
            assert getattr(bar, side) == pytest.approx(_within(values, bar, found), abs=1e-9)


def _within(values: np.ndarray, bar: Bar, whole: Picture) -> float:  # type: ignore[type-arg]
    if bar.low is not None and bar.low == bar.high:
        return float((values == bar.low).mean())
    low = -np.inf if bar.low is None else bar.low
    high = np.inf if bar.high is None else bar.high
    zero_apart = whole.bars[0].high == 0 and bar is not whole.bars[0]
    return float(((values >= low) & (values < high) & ~((values == 0) & zero_apart)).mean())


def test_few_whole_numbers_have_a_bar_each() -> None:
    found = picture(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 3]))
    assert found.bars == [Bar(0, 0, 0.5, 0.25), Bar(1, 1, 0.25, 0.5), Bar(2, 2, 0.25, 0), Bar(3, 3, 0, 0.25)]


def test_rare_large_values_share_the_last_bar() -> None:
    values = np.append(np.repeat([0.0, 1.0], 500), 900.0)
    last = picture(values, values).bars[-1]
    assert (last.low, last.high) == (1, None)


def test_zero_has_its_own_bar_and_what_is_skewed_a_logarithmic_scale() -> None:
    values = np.append(np.zeros(300), np.floor(RNG.lognormal(4, 1.5, 700)) + 1)
    found = picture(values, values)
    assert (found.bars[0].low, found.bars[0].high) == (0, 0)
    assert {10, 20, 50, 100} <= set(edges(found))


def test_a_linear_scale_stays_linear() -> None:
    found = picture(RNG.beta(0.1, 0.4, 900), RNG.beta(0.1, 0.4, 900), linear=True)
    assert edges(found) == pytest.approx([n / 10 for n in range(10)])


def test_medians_and_where_the_difference_is_largest() -> None:
    found = picture(np.array([1, 1, 2, 5]), np.array([1, 4, 5, 5]))
    assert (found.split, found.above) == (2, (0.25, 0.75))
    assert found.medians == (2, 5)


def test_shares_are_two_bars() -> None:
    found = share_picture(0.25, 0.5)
    assert found.bars == [Bar(0, 0, 0.75, 0.5), Bar(1, 1, 0.25, 0.5)] and found.above == (0.25, 0.5)
