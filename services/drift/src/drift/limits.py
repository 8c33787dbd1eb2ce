"""Limits of the drift decision that an operator sets."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """Limits beyond which a difference counts as drift."""

    false_alarm_rate: float
    """Chance that a window without drift is called drift, over all tests together."""
    minimum_change: float
    """Least distance that matters, 0 to 1. With many rows, even unimportant differences exceed chance."""
