"""Wording of a result for people, without statistical terms."""

import math
from datetime import datetime

import features
from drift.compare import LIKELY_SPAM, PREDICTED_SPAM
from drift.picture import Bar
from drift.result import Measured, Result, Status
from inferencelog import SCORE

TITLES = {LIKELY_SPAM: "Likely spam", PREDICTED_SPAM: "Predicted spam", SCORE: "Spam probability"}
DESCRIPTIONS = {
    **features.DESCRIPTIONS,
    LIKELY_SPAM: "share of mail that the model finds more likely spam than not",
    PREDICTED_SPAM: "share of mail that is called spam",
    SCORE: "the model's answer, 0 to 1",
}
CERTAIN, LIKELY_CHANCE = 1e-6, 0.1
"""Limits beyond which chances are not told apart: below the first, and above the second."""


def is_share(measure: str) -> bool:
    """Return whether the measure is one share of all mail, rather than a value of each mail."""
    return measure in (LIKELY_SPAM, PREDICTED_SPAM)


def is_proportion(measure: str) -> bool:
    """Return whether the measure's values are shown as percentages."""
    return is_share(measure) or measure.endswith("_share")


def title(measure: str) -> str:
    """Return the measure's name for a person."""
    words = measure.replace("_", " ").capitalize()
    return TITLES.get(measure) or words.replace("Html", "HTML").replace("Ip ", "IP ")


def description(measure: str) -> str:
    """Return what the measure is; the range is left out where the page shows percentages."""
    text = DESCRIPTIONS[measure]
    return text.removesuffix(", 0 to 1") if is_proportion(measure) else text


def headline(result: Result) -> str:
    """Return the outcome as a headline."""
    if result.status is Status.INSUFFICIENT_DATA:
        return "Not enough mail to say"
    return "No change seen" if result.status is Status.NO_DRIFT else "Mail has changed"


def subline(result: Result) -> str:
    """Return the outcome as one more sentence."""
    if result.status is Status.INSUFFICIENT_DATA:
        least = result.settings["minimum_rows"]
        return f"{plural(result.rows, 'mail')} could be compared; at least {least:,} are needed. That is no all-clear."
    measures = f"{len(result.measured)} measures"
    if result.status is Status.NO_DRIFT:
        return f"None of {measures} of {plural(result.rows, 'mail')} differs from the baseline by more than chance."
    moved = len(result.drifted)
    which = f"{moved} of {measures} has moved" if moved == 1 else f"{moved} of {measures} have moved"
    return f"{which} away from the baseline, further than chance explains."


def advice(result: Result) -> list[str]:
    """Return advice on what to do next."""
    if result.status is Status.INSUFFICIENT_DATA:
        return [
            "In a quiet hour: nothing. Or compare a longer stretch: drift-detector --last 24h.",
            "When you expected more mail: look whether the transformer writes the inference log and drops no rows, "
            "and whether rows were set aside.",
        ]
    if result.status is Status.NO_DRIFT:
        return ["Nothing. Mail looks as it did; whether the model is right about it needs people's verdicts."]
    return [
        "Look at the measures below, and at what was deployed or what changed upstream in that hour. A measure that "
        "has dropped to zero speaks for a fault in handling mail; many that moved a little speak for other mail.",
        "Have some verdicts of that hour checked by a person.",
        "When the verdicts are right and the mail is here to stay, make a new baseline: baseline-generator.",
        "When they are wrong, train on mail like this: CORPUS_DIR=… make train.",
    ]


def sentence(each: Measured) -> str:
    """Return what moved, at the value where the difference is largest."""
    before, now = each.picture.above
    change = f"from {percent(before)} to {percent(now)} of mail"
    if is_share(each.change.measure):
        return change
    limit = number(each.picture.split, each.change.measure)
    return f"{'any at all' if each.picture.split == 0 else f'more than {limit}'}: {change}"


def medians(each: Measured) -> str:
    """Return the medians of both distributions; empty if they are equal, or if the measure is a share."""
    before, now = (number(value, each.change.measure) for value in each.picture.medians)
    if is_share(each.change.measure) or before == now:
        return ""
    return f"half of the mails have at most {before} before, {now} now"


def chance(p_value: float) -> str:
    """Return an adjusted p-value as a chance."""
    if p_value > LIKELY_CHANCE:
        return "no more than chance"
    if p_value < CERTAIN:
        return "by chance in less than 1 of a million windows"
    return f"by chance in 1 of {_two_digits(1 / p_value):,} windows"


def _two_digits(value: float) -> int:
    return int(float(f"{value:.2g}"))


def number(value: float, measure: str) -> str:
    """Return a value of a measure as text."""
    if is_proportion(measure):
        return f"{value * 100:.3g}\N{NO-BREAK SPACE}%"
    if measure == SCORE:
        # Round down: nothing is above a probability of 1.
        return f"{math.floor(value * 10_000) / 10_000:g}"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percent(share: float) -> str:
    """Return a share of 0 to 1 as a percentage, with a decimal if it is small."""
    if 0 < share < 0.0005:
        return "under 0.1\N{NO-BREAK SPACE}%"
    return f"{share:.1%}".replace(".0%", "%").replace("%", "\N{NO-BREAK SPACE}%")


def tick(value: float, measure: str) -> str:
    """Return a value in the short form for an axis."""
    if is_proportion(measure):
        return f"{value * 100:.3g}%"
    if value >= 1000:
        return f"{value / 1000:.3g}k"
    return f"{value:.3g}"


def interval(bar: Bar, measure: str) -> str:
    """Return the values in a bar as text."""
    if bar.high is None:
        return f"{number(bar.low or 0.0, measure)} or more"
    if bar.low is None:
        return f"below {number(bar.high, measure)}"
    if bar.low == bar.high:
        return "none" if bar.low == 0 and not is_proportion(measure) else number(bar.low, measure)
    return f"{number(bar.low, measure)} to {number(bar.high, measure)}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def moment(time: datetime) -> str:
    """Return a time for a person, in UTC as given."""
    return f"{time:%Y-%m-%d %H:%M}" if time.second == 0 else f"{time:%Y-%m-%d %H:%M:%S}"
