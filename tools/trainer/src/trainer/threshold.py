"""Choice of the threshold: the ham that may be called spam, or the threshold itself."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import TrainerError

BY_HAM = "MAX_FALSE_POSITIVES"
BY_VALUE = "THRESHOLD"
FALSE_POSITIVE_RATE = 0.01
"""Largest share of ham that may be called spam by default, of mails, copies and templates together.

Copies and templates are harder than the corpus's mails. So this calls less than one of its mails in a hundred spam, and
says more of other people's mail.
"""


@dataclass(frozen=True, slots=True)
class ThresholdChoice:
    """Way in which the threshold is chosen; its text is the setting that makes the same choice."""

    limit: float = FALSE_POSITIVE_RATE
    """Largest share of ham that may be called spam, from 0 to below 1."""
    given: float | None = None
    """The threshold itself, above 0 and below 1, in place of the limit."""

    def __str__(self) -> str:
        """Return the setting, such as `THRESHOLD=0.9`."""
        return f"{BY_HAM}={self.limit!r}" if self.given is None else f"{BY_VALUE}={self.given!r}"


def read(by_ham: str, by_value: str) -> ThresholdChoice:
    """Return the choice of two settings, of which one or both are empty.

    Raises:
        TrainerError: If both are set, or if one is no number within its limits.
    """
    if by_ham and by_value:
        raise TrainerError(f"{BY_HAM} and {BY_VALUE} both choose the threshold: set one of them")
    if by_value:
        return ThresholdChoice(given=_number(BY_VALUE, by_value, "above 0 and below 1, such as 0.9", above_zero=True))
    if by_ham:
        return ThresholdChoice(_number(BY_HAM, by_ham, "a share of the ham from 0 to below 1, such as 0.001"))
    return ThresholdChoice()


def _number(name: str, text: str, rule: str, above_zero: bool = False) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    # Written so that NaN is refused too.
    if not 0 <= found < 1 or (above_zero and found == 0):
        raise TrainerError(f"{name} must be {rule}, is {text[:50]!r}")
    return abs(found)


def choose(environ: Mapping[str, str], trained: Path) -> ThresholdChoice:
    """Return the choice of the environment, or else the one that the model was trained with.

    A setting that is there and empty goes back to the default.

    Args:
        environ: Environment variables.
        trained: File with the choice that the model was trained with, unless that was the default.

    Raises:
        TrainerError: If both settings are set, or if one is no number within its limits.
    """
    if BY_HAM not in environ and BY_VALUE not in environ and trained.is_file():
        return noted(trained)
    return read(environ.get(BY_HAM, ""), environ.get(BY_VALUE, ""))


def note(choice: ThresholdChoice, at: Path) -> None:
    """Write the choice to a file, unless it is there already: `make` trains again when the file is newer.

    Raises:
        TrainerError: If the file cannot be written.
    """
    if at.is_file() and at.read_bytes() == f"{choice}\n".encode():
        return
    fresh = at.with_name(f"{at.name}.{os.getpid()}")
    try:
        fresh.write_text(f"{choice}\n")
        fresh.replace(at)
    except OSError as error:
        raise TrainerError(f"{at} cannot be written: {error.strerror}; free space or change permissions") from None


def noted(at: Path) -> ThresholdChoice:
    """Return the choice in a file.

    Raises:
        TrainerError: If the file cannot be read, or holds no choice.
    """
    try:
        name, _, value = at.read_text().strip().partition("=")
    except (OSError, UnicodeError) as error:
        raise TrainerError(f"{at}, which holds the threshold's choice, cannot be read: {error}") from None
    if name not in (BY_HAM, BY_VALUE) or not value:
        raise TrainerError(f"{at} must hold {BY_HAM}= or {BY_VALUE}= and a number; set one of them")
    return read(value, "") if name == BY_HAM else read("", value)


def keep(choice: ThresholdChoice, trained: Path) -> None:
    """Write down what the model was trained with, or remove the file if it is the default.

    Raises:
        TrainerError: If the file cannot be written.
    """
    if choice == ThresholdChoice():
        trained.unlink(missing_ok=True)
    else:
        note(choice, trained)
