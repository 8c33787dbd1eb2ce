"""Health of the candidate's environment while it was shadowed, according to Prometheus."""

import math
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from evidence.check import Check, check, unproven
from evidence.prometheus import Prometheus, PrometheusError
from evidence.thresholds import Thresholds

STEP_SECONDS = 60
"""Seconds of a step. Scrapes are usually closer together, so a step without a sample means a failed scrape."""
MOST_STEPS = 10_000
"""Most steps of a query; Prometheus refuses more than 11,000 points."""
OUTCOMES = ("compared", "dropped", "failed")


@dataclass(frozen=True, slots=True)
class Health:
    """Figures of Prometheus for a period."""

    start: datetime
    end: datetime
    ready: float | None
    """Lowest readiness that any gateway reported for the environment: 1 if always ready, None without a sample."""
    gap_seconds: float
    """Seconds of the period without a sample."""
    outcomes: dict[str, float]
    """Mails to be shadowed, by outcome; empty if nothing is known."""
    restarts: float | None
    """Restarts of the environment's containers; None if kube-state-metrics is not scraped."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {**asdict(self), "start": self.start.isoformat(), "end": self.end.isoformat()}


def read_health(
    prometheus: Prometheus, environment: str, namespace: str, start: datetime, end: datetime
) -> Health | str:
    """Return the health during a period, or the reason why it is unknown.

    Args:
        prometheus: Prometheus that scrapes the gateways.
        environment: Environment of the candidate.
        namespace: Namespace of its gateway and transformer; its predictor is found by the names of its pods.
        start: Time of the first shadowed mail.
        end: Current time, so that failures since the last mail count as well.
    """
    if end - start < timedelta(seconds=STEP_SECONDS):
        return f"the period from {start.isoformat()} is shorter than a minute"
    try:
        ready, gap = _readiness(prometheus, environment, start, end)
        return Health(start, end, ready, gap, *_counts(prometheus, environment, namespace, start, end))
    except PrometheusError as error:
        return str(error)


def ready_query(environment: str, step: int) -> str:
    """Return a query for the lowest readiness that any gateway reports within a step of seconds.

    It covers the whole step, not only its end. A dip within the step is seen, and an older sample does not fill a gap.
    """
    return f'min(min_over_time(gateway_environment_ready{{environment="{environment}"}}[{step}s]))'


def outcomes_query(seconds: int) -> str:
    """Return a query for the mails to be shadowed in the last seconds, by outcome."""
    return f"sum by (outcome) (increase(gateway_shadow_mails_total[{seconds}s]))"


def restarts_query(environment: str, namespace: str, seconds: int) -> str:
    """Return a query for container restarts in a namespace and in the environment's predictors, in the last seconds."""
    pods = (f'namespace="{namespace}"', f'pod=~"spam-detector-{environment}-predictor-.*"')
    name = "kube_pod_container_status_restarts_total"
    return f"sum({' or '.join(f'increase({name}{{{which}}}[{seconds}s])' for which in pods)})"


def _readiness(prometheus: Prometheus, environment: str, start: datetime, end: datetime) -> tuple[float | None, float]:
    seconds = (end - start).total_seconds()
    step = max(STEP_SECONDS, math.ceil(seconds / MOST_STEPS))
    steps = int(seconds // step)
    first, last = (start + timedelta(seconds=step * number) for number in (1, steps))
    found = prometheus.over(ready_query(environment, step), first, last, step)
    values = found[0] if found else {}
    return min(values.values(), default=None), float((steps - len(values)) * step)


def _counts(
    prometheus: Prometheus, environment: str, namespace: str, start: datetime, end: datetime
) -> tuple[dict[str, float], float | None]:
    seconds = math.ceil((end - start).total_seconds())
    outcomes = prometheus.at(outcomes_query(seconds), end)
    restarted = prometheus.at(restarts_query(environment, namespace, seconds), end)
    counted = {labels["outcome"]: value for labels, value in outcomes if labels.get("outcome") in OUTCOMES}
    return counted, restarted[0][1] if restarted else None


_SCRAPE = "let Prometheus scrape the gateways without a gap for the whole period (ServiceMonitor), then make it again"
_WHERE = "set PROMETHEUS_URL to the Prometheus that scrapes the gateways; or allow it: require_health: false"


def check_health(found: Health | str, thresholds: Thresholds) -> list[Check]:
    """Return checks of whether the environment was ready and answered its mails."""
    if isinstance(found, str):
        return [unproven("health", thresholds.require_health, f"not proven: {found}", "ready all the time", _WHERE)]
    return [_ready(found, thresholds), *_shares(found, thresholds), _restarts(found, thresholds)]


def _ready(found: Health, thresholds: Thresholds) -> Check:
    gap, most = timedelta(seconds=found.gap_seconds), thresholds.maximum_gap
    asked = f"ready all the time, at most {most} without a sample"
    measured = f"{found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC, {gap} without a sample"
    if found.ready is None:
        return unproven("ready", thresholds.require_health, f"no sample at all, {measured}", asked, _SCRAPE)
    if found.ready < 1:
        advice = "find out why (kubectl get events, the gateway's log), then begin a new period with --last"
        return check("ready", False, f"not ready for some time, {measured}", asked, advice)
    if gap > most:
        return unproven("ready", thresholds.require_health, measured, asked, _SCRAPE)
    return check("ready", True, measured, asked, "")


def _shares(found: Health, thresholds: Thresholds) -> list[Check]:
    total = sum(found.outcomes.get(outcome, 0.0) for outcome in OUTCOMES)
    limits = {"failed": thresholds.maximum_failed_share, "dropped": thresholds.maximum_dropped_share}
    if not total > 0:
        why = "gateway_shadow_mails_total counts nothing"
        return [
            unproven(f"shadow mails {name}", thresholds.require_health, why, f"at most {limit:.1%}", _SCRAPE)
            for name, limit in limits.items()
        ]
    return [
        check(
            f"shadow mails {name}",
            found.outcomes.get(name, 0.0) / total <= limit,
            f"{found.outcomes.get(name, 0.0) / total:.2%} of {total:.0f}",
            f"at most {limit:.1%}",
            "see the candidate's log for errors, give it more room, or shadow a smaller share",
        )
        for name, limit in limits.items()
    ]


def _restarts(found: Health, thresholds: Thresholds) -> Check:
    asked = f"at most {thresholds.maximum_restarts}"
    if found.restarts is None:
        return Check("restarts", "told", "not known: kube-state-metrics is not scraped", asked)
    # An extrapolated increase is not a whole number; from one half on it counts as a restart.
    count = round(found.restarts)
    advice = "kubectl describe pod says why; then begin a new period with --last"
    return check("restarts", count <= thresholds.maximum_restarts, str(count), asked, advice)
