"""What a person sets about the decision."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as drift."""

    false_alarm_rate: float
    """The chance that a window without drift is called drift, all tests together."""
    minimum_change: float
    """The least distance that matters, 0 to 1: with many rows, differences of no importance are beyond chance too."""
