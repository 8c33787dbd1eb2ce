"""What a candidate has to reach: `evidence:` of the target's `environments/<environment>/config.yaml`."""

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
    """The defaults are those of an environment that says nothing."""

    require_offline: bool = True
    """Whether a candidate is refused that cannot be compared with production on the same mails."""
    alpha: float = 0.01
    """Level of each one-sided test for a candidate that is worse on the corpus, above 0 and below 0.5."""
    auc_margin: float = 0.0
    """By how much the candidate's AUC may be lower all the same, 0 to 1: of models that are much alike, differences
    that matter to nobody are significant."""
    minimum_mails: int = 1000
    """Shadowed mails of exactly the two models, 1 or more."""
    minimum_agreement: float = 0.97
    """Share of shadowed mails on which both models predict the same, at the lower bound of its interval, 0 to 1."""
    minimum_agreement_each: float = 0.9
    """The same among the mails that production called spam, and among those that it called ham: where one kind is
    rare, a model that always names the other agrees with nearly all."""
    maximum_latency_ratio: float = 1.25
    """Median seconds of the candidate over production's, at the upper bound of its interval."""
    maximum_latency_ratio_p99: float = 2.0
    """99th percentiles, likewise: it rests on one mail in a hundred, so its interval is wide."""
    allow_drift: bool = False
    """Whether a candidate passes whose newest drift report says drift."""
    require_drift_report: bool = False
    """Whether a report of enough mail is needed: staging's own traffic, of which there may be little."""
    require_health: bool = True
    """Whether Prometheus has to prove that the candidate's environment was ready all the time."""
    maximum_gap: timedelta = timedelta(0)
    """How much of that time may lack a sample."""
    maximum_failed_share: float = 0.01
    """Of the mails to be shadowed, those that the candidate failed to answer, 0 to 1."""
    maximum_dropped_share: float = 0.1
    """Of the mails to be shadowed, those that were not sent for want of room, 0 to 1."""
    maximum_restarts: int = 0
    """Of the candidate's containers in that time, where kube-state-metrics counts them."""
    maximum_age: timedelta = timedelta(days=2)
    """How old evidence may be when it is used for a promotion."""

    def as_json(self) -> dict[str, Any]:
        """The thresholds as JSON takes them, durations in seconds as `<name>_seconds`."""
        return {
            f"{name}_seconds" if isinstance(value, timedelta) else name: (
                value.total_seconds() if isinstance(value, timedelta) else value
            )
            for name, value in asdict(self).items()
        }


_SHARES = ("auc_margin", "minimum_agreement", "minimum_agreement_each", "maximum_failed_share", "maximum_dropped_share")


def read_configured(path: Path) -> dict[str, Any]:
    """What a config.yaml says about evidence, as it stands there.

    Raises:
        EvidenceError: The file is missing, no YAML, or `evidence` is no mapping.
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
    """The thresholds that are configured, and the defaults of the others.

    Args:
        configured: Name -> value, durations as text.
        where: It stands, for errors.

    Raises:
        EvidenceError: A name is unknown, or a value is of another kind or out of range.
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
    # Comparisons that hold for no NaN.
    if name == "alpha" and not 0 < value < 0.5:
        raise ValueError(f"alpha must be above 0 and below 0.5, is {value}")
    if not (least <= value <= most and value != float("inf")):
        raise ValueError(f"{name} must be {least:g} to {most:g}, is {value}")
