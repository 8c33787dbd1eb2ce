"""Where answered mails are recorded for the drift detector: features and scores, never text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """One answered mail."""

    request_id: str
    model_version: str
    model_sha256: str
    values: tuple[float, ...]
    """The named features, in the order of `features.NAMES`."""
    spam_probability: float


class InferenceLog(Protocol):
    """Takes records without ever making a request wait or fail."""

    def append(self, records: Sequence[Record]) -> None:
        """Hand over the records of one answered batch."""


class NoInferenceLog:
    """Keeps nothing: what runs while no log is configured."""

    def append(self, records: Sequence[Record]) -> None:
        """Drop them."""
