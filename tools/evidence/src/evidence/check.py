"""Check of one threshold that a candidate must reach."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from inferencelog import one_line

LINE_CHARACTERS = 1_000
"""Most characters of a text in evidence.json; `release promote` refuses longer ones."""
Outcome = Literal["accepted", "refused", "told"]
"""Outcome of a check. `told` is information only: the thresholds do not refuse the candidate for it."""


@dataclass(frozen=True, slots=True)
class Check:
    """Measured value, its threshold, and advice for when the threshold is not reached."""

    name: str
    outcome: Outcome
    measured: str
    threshold: str
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the check for JSON."""
        return {name: one_line(text, LINE_CHARACTERS) for name, text in asdict(self).items()}


def check(name: str, reached: bool, measured: str, threshold: str, advice: str) -> Check:
    """Return a check that refuses what does not reach its threshold."""
    return Check(name, "accepted" if reached else "refused", measured, threshold, "" if reached else advice)


def unproven(name: str, required: bool, measured: str, threshold: str, advice: str) -> Check:
    """Return a check that could not be made; it refuses only if the thresholds require it."""
    return Check(name, "refused" if required else "told", measured, threshold, advice)
