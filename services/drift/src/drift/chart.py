"""Bar chart of two distributions side by side, in the units of an SVG's view box."""

from dataclasses import dataclass

from drift import words
from drift.picture import Bar
from drift.result import Measured

WIDTH, HEIGHT = 340.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 4.0, 10.0, 20.0
CHARACTER = 6.0
"""Width of one character of a label, in view box units."""
NICE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)


@dataclass(frozen=True, slots=True)
class Column:
    """Bar of one distribution."""

    kind: str
    """Distribution that the bar belongs to: `baseline` or `current`."""
    x: float
    y: float
    width: float
    height: float
    text: str
    """Text of the tooltip."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Label of an axis."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Chart:
    """Chart with everything that a template draws."""

    title: str
    description: str
    columns: list[Column]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def chart(each: Measured) -> Chart:
    """Return the chart of a measure."""
    measure, bars = each.change.measure, each.picture.bars
    highest = max(max(bar.baseline, bar.current) for bar in bars)
    step = next((nice for nice in NICE if highest <= nice * 4), 0.25)
    scale = (HEIGHT - TOP - BOTTOM) / max(highest, step)
    slot = (WIDTH - LEFT - RIGHT) / len(bars)
    return Chart(
        title=f"{words.title(measure)}, baseline and now",
        description="; ".join(_said(bar, measure) for bar in bars),
        columns=[column for place, bar in enumerate(bars) for column in _pair(bar, measure, place, slot, scale)],
        x_ticks=_thinned(_x_ticks(bars, measure, slot)),
        y_ticks=[Tick(HEIGHT - BOTTOM - n * step * scale, f"{n * step:.0%}") for n in range(int(highest / step) + 1)],
    )


def _said(bar: Bar, measure: str) -> str:
    return f"{_label(bar, measure)}: {words.percent(bar.baseline)} before, {words.percent(bar.current)} now"


def _label(bar: Bar, measure: str) -> str:
    if words.is_share(measure):
        return "yes" if bar.low else "no"
    return words.interval(bar, measure)


def _pair(bar: Bar, measure: str, place: int, slot: float, scale: float) -> list[Column]:
    width = min(0.42 * slot, 44.0)
    middle = LEFT + (place + 0.5) * slot
    said = _said(bar, measure)
    return [
        Column(kind, x, HEIGHT - BOTTOM - share * scale, width, share * scale, said)
        for kind, x, share in (("baseline", middle - width, bar.baseline), ("current", middle, bar.current))
    ]


def _x_ticks(bars: list[Bar], measure: str, slot: float) -> list[Tick]:
    """Return labels below the middle of each bar that holds a single value, and below the left edge of other bars."""
    ticks = []
    for place, bar in enumerate(bars):
        single = bar.low == bar.high or words.is_share(measure)
        if bar.low is None or (place and bar.low == bars[place - 1].low):
            continue
        text = _label(bar, measure) if words.is_share(measure) else words.tick(bar.low, measure)
        if bar.high is None and single is False and _is_last_single(bars):
            text, single = f"{text}+", True
        ticks.append(Tick(LEFT + (place + (0.5 if single else 0)) * slot, text))
    last = bars[-1]
    if last.high is not None and last.high != last.low and not words.is_share(measure):
        ticks.append(Tick(WIDTH - RIGHT, words.tick(last.high, measure), "end"))
    return ticks


def _is_last_single(bars: list[Bar]) -> bool:
    """Return whether all bars before the last, open one hold a single value, so that the last is labelled like them."""
    return len(bars) > 2 and all(bar.low == bar.high for bar in bars[:-1])


def _thinned(ticks: list[Tick]) -> list[Tick]:
    """Return the labels that do not overlap the one before."""
    kept: list[Tick] = []
    for tick in ticks:
        if not kept or tick.at - kept[-1].at > _room(kept[-1], tick):
            kept.append(tick)
    return kept


def _room(left: Tick, right: Tick) -> float:
    """Return the least distance between the anchors of two labels."""
    half = CHARACTER / 2
    return half * len(left.text) + half * len(right.text) * (2 if right.anchor == "end" else 1) + CHARACTER
