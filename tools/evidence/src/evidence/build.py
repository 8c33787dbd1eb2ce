"""Evidence built from settings."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from evidence.drift_state import check_drift, newest_report
from evidence.errors import EvidenceError
from evidence.evaluation.scores import Progress
from evidence.health import Health, check_health, read_health
from evidence.models import read_side
from evidence.offline import check_offline, compare_offline, compare_on
from evidence.prometheus import Prometheus
from evidence.result import Evidence
from evidence.shadow import check_shadow, read_agreement
from evidence.thresholds import parse_thresholds, read_configured
from release.errors import ReleaseError
from release.override import threshold_of


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """Settings of one run."""

    root: Path
    """Root of the repository."""
    source: str
    """Environment of the candidate."""
    target: str
    """Environment that it is to be promoted to."""
    candidate: Path | None
    """Folder of a bundle to use instead of the one that the release file pins."""
    production: Path | None
    log_uri: str
    prometheus_url: str
    """URL of Prometheus; empty for none."""
    last: timedelta
    """Time from the beginning of the period to now."""
    evaluate_on: Path | None = None
    """Labelled mail to compare the models on; None for the corpus that both were trained on."""
    evaluated: Path | None = None
    """Folder of an earlier evaluation on that mail, for a model that the features here do not fit."""


def make(settings: EvidenceSettings, now: datetime, progress: Progress = lambda _: None) -> Evidence:
    """Compare candidate and production, check the result and return the evidence.

    Args:
        settings: Settings of the run.
        now: End of the period.
        progress: Called with each line of progress.

    Raises:
        EvidenceError: If the settings, the bundles or the log do not allow any evidence.
    """
    config = settings.root / "environments" / settings.target / "config.yaml"
    configured = read_configured(config)
    thresholds = parse_thresholds(configured, str(config))
    namespace = _namespace(settings)
    prometheus = Prometheus(settings.prometheus_url) if settings.prometheus_url else None
    load = settings.evaluate_on is not None
    candidate = read_side(settings.root, settings.source, settings.candidate, load)
    production = read_side(settings.root, settings.target, settings.production, load)
    overrides = {name: _override(settings.root, name) for name in (settings.source, settings.target)}
    candidate, production = (replace(side, override=overrides[settings.target]) for side in (candidate, production))
    if candidate.sha256 == production.sha256:
        raise EvidenceError(f"{settings.source} and {settings.target} have the same model; there is nothing to compare")
    start = now - settings.last
    if settings.evaluate_on is None:
        offline = compare_offline(candidate, production, thresholds.auc_margin)
    else:
        sides = candidate, production, settings.evaluated
        offline = compare_on(settings.evaluate_on, *sides, thresholds.auc_margin, progress)
    # A threshold of its own in either environment makes labels that the target would not.
    label = any(override is not None for override in overrides.values())
    shadow = read_agreement(settings.log_uri, candidate, production, start, now, label)
    drift = {side.environment: newest_report(settings.log_uri, side, start) for side in (candidate, production)}
    health = _health(prometheus, settings.source, namespace, shadow.start, now)
    checks = [
        *check_offline(offline, thresholds),
        *check_shadow(shadow, thresholds),
        *check_drift(drift[settings.source], drift[settings.target], thresholds),
        *check_health(health, thresholds),
    ]
    return Evidence(now, start, candidate, production, offline, shadow, drift, health, thresholds, configured, checks)


def _override(root: Path, environment: str) -> float | None:
    try:
        return threshold_of(root, environment)
    except ReleaseError as error:
        raise EvidenceError(str(error)) from None


def _namespace(settings: EvidenceSettings) -> str:
    """Return the namespace of the candidate's environment, as Argo CD reads it."""
    path = settings.root / "environments" / settings.source / "config.yaml"
    try:
        return str(yaml.safe_load(path.read_text())["namespace"])
    except (OSError, yaml.YAMLError, LookupError, TypeError) as error:
        raise EvidenceError(f"{path} names no namespace: {error!r}") from None


def _health(
    prometheus: Prometheus | None, environment: str, namespace: str, start: datetime | None, now: datetime
) -> Health | str:
    if prometheus is None:
        return "PROMETHEUS_URL is not set"
    if start is None:
        return "there is no shadowed mail, so no period to ask about"
    return read_health(prometheus, environment, namespace, start, now)
