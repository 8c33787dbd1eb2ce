"""Thresholds for a candidate: `evidence:` in the target's `environments/<environment>/config.yaml`."""

from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from evidence.duration import parse_duration
from evidence.errors import EvidenceError

KEY = "evidence"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds of an environment. The defaults apply to one that configures nothing."""

    require_offline: bool = True
    """Whether to refuse a candidate that cannot be compared with production on the same mails."""
    alpha: float = 0.01
    """Level of each one-sided test for a candidate that is worse on the corpus, above 0 and below 0.5."""
    auc_margin: float = 0.0
    """Amount by which the candidate's AUC may be lower, 0 to 1.

    Between very similar models even a difference that matters to nobody is significant.
    """
    minimum_mails: int = 1000
    """Fewest shadowed mails of exactly the two models, 1 or more."""
    minimum_agreement: float = 0.97
    """Least share of shadowed mails on which both models agree, at the lower bound of its interval, 0 to 1."""
    minimum_agreement_each: float = 0.9
    """Least agreement among the mails that production called spam, and among those that it called ham, 0 to 1.

    Where one kind is rare, a model that always predicts the other agrees on nearly all mails.
    """
    maximum_latency_ratio: float = 1.25
    """Largest ratio of the candidate's median seconds to production's, at the upper bound of its interval."""
    maximum_latency_ratio_p99: float = 2.0
    """Largest ratio of the 99th percentiles. They rest on one mail in a hundred, so the interval is wide."""
    allow_drift: bool = False
    """Whether a candidate passes although its newest drift report says drift."""
    require_drift_report: bool = False
    """Whether a report of enough mail is required. Staging's own traffic may be too little for one."""
    require_health: bool = True
    """Whether Prometheus must prove that the candidate's environment was ready all the time."""
    maximum_gap: timedelta = timedelta(0)
    """Longest time of the period that may lack samples."""
    maximum_failed_share: float = 0.01
    """Largest share of the mails to be shadowed that the candidate may fail to answer, 0 to 1."""
    maximum_dropped_share: float = 0.1
    """Largest share of the mails to be shadowed that may be dropped for lack of room, 0 to 1."""
    maximum_restarts: int = 0
    """Most restarts of the candidate's containers in the period, if kube-state-metrics counts them."""
    maximum_age: timedelta = timedelta(days=2)
    """Greatest age of evidence that a promotion may use."""

    def as_json(self) -> dict[str, Any]:
        """Return the thresholds for JSON, durations in seconds as `<name>_seconds`."""
        return {
            f"{name}_seconds" if isinstance(value, timedelta) else name: (
                value.total_seconds() if isinstance(value, timedelta) else value
            )
            for name, value in asdict(self).items()
        }


_SHARES = ("auc_margin", "minimum_agreement", "minimum_agreement_each", "maximum_failed_share", "maximum_dropped_share")


def read_configured(path: Path) -> dict[str, Any]:
    """Return the `evidence` settings of a config.yaml, unchanged.

    Raises:
        EvidenceError: If the file is missing or not YAML, or if `evidence` is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise EvidenceError(f"{path} does not exist; name an environment that has one") from None
    except yaml.YAMLError as error:
        raise EvidenceError(f"{path} is no YAML: {error}") from None
    found = content.get(KEY) if isinstance(content, dict) else None
    if found is not None and not isinstance(found, dict):
        raise EvidenceError(f"{path}: {KEY} must be a mapping of thresholds, is {type(found).__name__}")
    return found or {}


def parse_thresholds(configured: dict[str, Any], where: str) -> Thresholds:
    """Return the configured thresholds, completed by the defaults.

    Args:
        configured: Values by name, durations as text.
        where: Place of the settings, for error messages.

    Raises:
        EvidenceError: If a name is unknown, or if a value is of another kind or out of range.
    """
    known = {field.name: field.type for field in fields(Thresholds)}
    unknown = sorted(map(str, configured.keys() - known.keys()))
    if unknown:
        raise EvidenceError(f"{where}: {KEY}.{unknown[0]} is unknown; known: {', '.join(known)}")
    try:
        return Thresholds(**{name: _value(name, known[name], value) for name, value in configured.items()})
    except ValueError as error:
        raise EvidenceError(f"{where}: {KEY}.{error}") from None


def _value(name: str, kind: Any, value: Any) -> Any:
    if kind is timedelta:
        try:
            return parse_duration(str(value))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    numbers = (int, float) if kind is float else (kind,)
    if not isinstance(value, numbers) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} must be {kind.__name__}, is {value!r}")
    if kind is not bool:
        _check_range(name, value)
    return kind(value)


def _check_range(name: str, value: float) -> None:
    least, most = (0.0, 1.0) if name in _SHARES else (0.0, float("inf"))
    if name == "minimum_mails":
        least = 1
    # Both comparisons are written so that NaN fails them.
    if name == "alpha" and not 0 < value < 0.5:
        raise ValueError(f"alpha must be above 0 and below 0.5, is {value}")
    if not (least <= value <= most and value != float("inf")):
        raise ValueError(f"{name} must be {least:g} to {most:g}, is {value}")
