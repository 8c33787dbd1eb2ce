"""Prometheus metrics of the gateway's work, most of them by environment.

Each application has its own, in the registry that it is given, so tests count from zero.
"""

from collections.abc import Callable
from functools import cache, partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

NO_HANDLER = "none"
"""Handler label of requests for unknown paths, or refused before their path was looked at."""


class Metrics:
    """All metrics of one gateway, grouped by what they measure.

    Args:
        registry: Registry that exposes them; a new one by default.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.requests = RequestMetrics(self.registry)
        self.environments = EnvironmentMetrics(self.registry)
        self.connections = ConnectionMetrics(self.registry)
        self.keys = KeyMetrics(self.registry)
        self.shadow = ShadowMetrics(self.registry)
        self.canary = CanaryMetrics(self.registry)


class RequestMetrics:
    """Requests and their duration: the only HTTP metric; its count is the number of requests."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        seconds = Histogram(
            "http_request_duration_seconds",
            "Duration of HTTP requests in seconds",
            ["environment", "handler", "method", "status"],
            buckets=SECONDS,
            registry=registry,
        )
        self.seconds_of: Callable[[str, str, str, str], Histogram] = cache(seconds.labels)
        """Return the series of an environment, handler, method and status, looked up only once.

        The environment is empty for a request that was refused before it had one, and for the framework's own pages.
        """


class EnvironmentMetrics:
    """Mails and batches, by environment."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        gauge = partial(Gauge, labelnames=["environment"], registry=registry)
        counter = partial(Counter, labelnames=["environment"], registry=registry)
        histogram = partial(Histogram, labelnames=["environment"], registry=registry)
        self.ready = gauge(
            "gateway_environment_ready",
            "Whether transformer and predictor said at the last check that they are ready",
        )
        self.batch_mails = histogram(
            "gateway_batch_mails",
            "Mails in one batch sent to a transformer",
            buckets=(1, 2, 4, 8, 16, 24, 32, 48, 64, 128),
        )
        self.queue_wait = histogram(
            "gateway_queue_wait_seconds",
            "Time from a request's arrival to the departure of its batch",
            buckets=(0.0005, *SECONDS),
        )
        self.upstream_seconds = histogram(
            "gateway_upstream_seconds", "Time from the departure of a batch to its answer", buckets=SECONDS
        )
        self.queued_mails = gauge("gateway_queued_mails", "Mails that wait for a batch")
        self.mails_in_flight = gauge("gateway_mails_in_flight", "Mails in batches under way")
        self.batches_in_flight = gauge("gateway_batches_in_flight", "Batches under way")
        self.answers = AnswerMetrics(registry)
        self.refused_mails = counter(
            "gateway_refused_mails_total",
            "Mails refused because the queue was full; a batch-predict request that was refused unread counts as one",
        )
        self.expired_mails = counter("gateway_expired_mails_total", "Mails whose deadline passed unanswered")
        self.upstream_errors = Counter(
            "gateway_upstream_errors_total", "Batches that failed, by kind", ["environment", "kind"], registry=registry
        )
        self.upstream_retries = counter(
            "gateway_upstream_retries_total", "Batches sent again after a failed connection"
        )


class AnswerMetrics:
    """Answered mails and their spam probability, by environment."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.predictions = Counter(
            "gateway_predictions_total",
            "Mails answered, by verdict",
            ["environment", "prediction"],
            registry=registry,
        )
        self.spam_probability = Histogram(
            "gateway_spam_probability",
            "Spam probability of the mails answered",
            ["environment"],
            buckets=(0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1),
            registry=registry,
        )
        self.threshold = Gauge(
            "gateway_spam_threshold",
            "Spam probability from which the mails of the last answer were called spam",
            ["environment", "model_version"],
            registry=registry,
        )


class ConnectionMetrics:
    """Connections of clients: how many are open, what they hold, and why the gateway ended them."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.open = Gauge("gateway_connections", "Open connections of clients", registry=registry)
        self.waiting_bytes = Gauge(
            "gateway_waiting_bytes",
            "Bytes of heads, and of requests behind one that is not answered, over all connections",
            registry=registry,
        )
        self.ended = Counter(
            "gateway_connections_ended_total",
            "Connections ended by the gateway because of their clients, by what was too slow or too much",
            ["reason"],
            registry=registry,
        )


class KeyMetrics:
    """Requests by API key."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        requests = Counter(
            "gateway_api_key_requests_total",
            "Requests by the name of their API key, and what it was good for",
            ["key", "outcome"],
            registry=registry,
        )
        self.requests_of: Callable[[str, str], Counter] = cache(requests.labels)
        """Return the series of a key's name and an outcome, looked up only once."""


class ShadowMetrics:
    """Shadowed mails. The series exist even if no shadow runs."""

    OUTCOMES = ("compared", "dropped", "failed")

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.mails = Counter(
            "gateway_shadow_mails_total",
            "Shadowed mails, by what became of their comparison",
            ["outcome"],
            registry=registry,
        )
        self.queued_mails = Gauge(
            "gateway_shadow_queued_mails", "Shadowed mails that wait or are under way", registry=registry
        )
        for outcome in self.OUTCOMES:
            self.mails.labels(outcome)


class CanaryMetrics:
    """Requests of a canary, its share, and why it stopped. The series exist even if no canary runs."""

    OUTCOMES = ("answered", "error", "unjudged")
    BOUNDS = ("errors", "latency")

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.requests = Counter(
            "gateway_canary_requests_total",
            "Requests that the candidate was asked for, by what became of them",
            ["outcome"],
            registry=registry,
        )
        self.share = Gauge(
            "gateway_canary_share",
            "Share of the baseline's requests that the candidate is asked for now",
            registry=registry,
        )
        self.stopped = Gauge(
            "gateway_canary_stopped",
            "Whether the canary has stopped itself in this process, by the bound that it left",
            ["reason"],
            registry=registry,
        )
        for outcome in self.OUTCOMES:
            self.requests.labels(outcome)
        for bound in self.BOUNDS:
            self.stopped.labels(bound)
