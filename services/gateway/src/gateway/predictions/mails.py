"""Mails and what is known about them: the values that pass between the gateway's parts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


# Not frozen: that would cost a microsecond for each mail.
@dataclass(slots=True)
class Mail:
    """One mail of one request."""

    content: str
    request_id: str


@dataclass(slots=True)
class Verdicts:
    """Answer to n mails: a verdict on each, in their order."""

    probabilities: list[float]
    predictions: list[str]
    model_version: str
    model_sha256: str = ""
    """SHA-256 of the model's bundle, if the predictor sends it."""
    seconds: float = field(default=0.0, compare=False)
    """Seconds from the departure of the batch to its answer."""
    batch_mails: int = field(default=0, compare=False)
    """Mails of that batch, which other requests may have shared; 0 if unknown."""
    threshold: float | None = None
    """Spam probability from which these mails were called spam; None if an older transformer does not send it."""


class Answered(Protocol):
    """Mails of one request that production has answered."""

    @property
    def mails(self) -> Sequence[Mail]:
        """Return the mails, one or more."""

    @property
    def answer(self) -> Verdicts:
        """Return the answer to all of them."""

    @property
    def first(self) -> int:
        """Return the position of the first mail within its request."""


@dataclass(frozen=True, slots=True)
class ExplainedFeatures:
    """Named numbers from which a mail's verdict was made."""

    names: list[str]
    descriptions: list[str]
    values: list[float]
    quantiles: list[float] | None
    """Quantiles of shape [k, `GROUPS`, `QUANTILES`], row by row; None if the model does not give them."""
