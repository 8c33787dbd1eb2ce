"""One question that a candidate has to answer."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from inferencelog import one_line

LINE_CHARACTERS = 1_000
"""Characters of a text in evidence.json; `release promote` takes no longer ones."""
Outcome = Literal["accepted", "refused", "told"]
"""`told`: of interest, and no reason to refuse by the thresholds as they stand."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was measured, what was asked for, and what to do where it was not reached."""

    name: str
    outcome: Outcome
    measured: str
    threshold: str
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        """The check as JSON takes it."""
        return {name: one_line(text, LINE_CHARACTERS) for name, text in asdict(self).items()}


def check(name: str, reached: bool, measured: str, threshold: str, advice: str) -> Check:
    """A check that refuses what does not reach its threshold."""
    return Check(name, "accepted" if reached else "refused", measured, threshold, "" if reached else advice)


def unproven(name: str, required: bool, measured: str, threshold: str, advice: str) -> Check:
    """A check that could not be made, and refuses where the thresholds require it."""
    return Check(name, "refused" if required else "told", measured, threshold, advice)
