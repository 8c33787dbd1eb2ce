"""Gauges of the result in a Pushgateway."""

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

from drift.errors import DriftError
from drift.result import Result, Status

JOB = "drift-detector"
TIMEOUT_SECONDS = 10.0


def push(result: Result, url: str) -> None:
    """Replace the gauges of the environment's previous run.

    All gauges are replaced. A window with insufficient data therefore leaves no drift gauge, neither 1 nor 0. No alert
    fires or resolves because of what an earlier window said.

    Raises:
        DriftError: If the Pushgateway cannot be reached, or if it refuses the gauges.
    """
    group = {"environment": result.environment}
    try:
        push_to_gateway(url, JOB, registry(result), grouping_key=group, timeout=TIMEOUT_SECONDS)
    except OSError as error:
        raise DriftError(
            f"the report is written, but the Pushgateway {url} did not take the gauges: {error}; "
            "check PUSHGATEWAY_URL and that it is up, then run again for the same window"
        ) from error


def registry(result: Result) -> CollectorRegistry:
    """Return a registry with the gauges of a result."""
    found = CollectorRegistry()

    def gauge(name: str, help_text: str, value: float) -> None:
        Gauge(name, help_text, registry=found).set(value)

    gauge("drift_rows", "Rows of the window that were compared.", result.rows)
    aside = Gauge("drift_rows_set_aside", "Rows of the window that were not compared.", ["reason"], registry=found)
    for reason, count in result.log.set_aside.by_reason.items():
        aside.labels(reason).set(count)
    gauge("drift_unreadable_files", "Files of the window that could not be read.", len(result.log.unreadable))
    if result.age_seconds is not None:
        gauge("drift_data_age_seconds", "From the newest row of the log to the run.", result.age_seconds)
    gauge("drift_last_success_timestamp_seconds", "When the last run did its work.", result.created.timestamp())
    insufficient = result.status is Status.INSUFFICIENT_DATA
    gauge("drift_insufficient_data", "1 when the window had too few rows to say anything.", insufficient)
    if not insufficient:
        gauge("drift_detected", "1 when a measure has drifted.", result.status is Status.DRIFT)
        _add_measures(result, found)
    return found


def _add_measures(result: Result, target: CollectorRegistry) -> None:
    def gauge(name: str, help_text: str) -> Gauge:
        return Gauge(name, help_text, ["feature"], registry=target)

    distance = gauge("drift_statistic", "How far the measure lies from the baseline, 0 to 1.")
    p_value = gauge("drift_p_value", "Adjusted for all tests; below the false alarm rate is beyond chance.")
    detected = gauge("drift_feature_detected", "1 when the measure has drifted.")
    for each in result.measured:
        distance.labels(each.change.measure).set(each.change.distance)
        p_value.labels(each.change.measure).set(each.change.p_value)
        detected.labels(each.change.measure).set(each.change.drifted)
