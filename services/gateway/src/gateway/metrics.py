"""Prometheus metrics of the gateway's work, most of them by environment."""

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

NO_HANDLER = "none"
"""Handler label of requests for unknown paths, or refused before their path was looked at."""
HTTP_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Duration of HTTP requests in seconds",
    ["environment", "handler", "method", "status"],
    buckets=SECONDS,
)
"""The only HTTP metric; its count is the number of requests."""

ENVIRONMENT_READY = Gauge(
    "gateway_environment_ready",
    "Whether transformer and predictor said at the last check that they are ready",
    ["environment"],
)
BATCH_MAILS = Histogram(
    "gateway_batch_mails",
    "Mails in one batch sent to a transformer",
    ["environment"],
    buckets=(1, 2, 4, 8, 16, 24, 32, 48, 64, 128),
)
QUEUE_WAIT = Histogram(
    "gateway_queue_wait_seconds",
    "Time from a request's arrival to the departure of its batch",
    ["environment"],
    buckets=(0.0005, *SECONDS),
)
UPSTREAM_SECONDS = Histogram(
    "gateway_upstream_seconds",
    "Time from the departure of a batch to its answer",
    ["environment"],
    buckets=SECONDS,
)
QUEUED_MAILS = Gauge("gateway_queued_mails", "Mails that wait for a batch", ["environment"])
MAILS_IN_FLIGHT = Gauge("gateway_mails_in_flight", "Mails in batches under way", ["environment"])
BATCHES_IN_FLIGHT = Gauge("gateway_batches_in_flight", "Batches under way", ["environment"])
PREDICTIONS = Counter("gateway_predictions_total", "Mails answered, by verdict", ["environment", "prediction"])
SPAM_PROBABILITY = Histogram(
    "gateway_spam_probability",
    "Spam probability of the mails answered",
    ["environment"],
    buckets=(0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1),
)
REFUSED_MAILS = Counter(
    "gateway_refused_mails_total",
    "Mails refused because the queue was full; a batch-predict request that was refused unread counts as one",
    ["environment"],
)
EXPIRED_MAILS = Counter("gateway_expired_mails_total", "Mails whose deadline passed unanswered", ["environment"])
UPSTREAM_ERRORS = Counter("gateway_upstream_errors_total", "Batches that failed, by kind", ["environment", "kind"])
UPSTREAM_RETRIES = Counter(
    "gateway_upstream_retries_total", "Batches sent again after a failed connection", ["environment"]
)
CONNECTIONS = Gauge("gateway_connections", "Open connections of clients")
WAITING_BYTES = Gauge(
    "gateway_waiting_bytes", "Bytes of heads, and of requests behind one that is not answered, over all connections"
)
CONNECTIONS_ENDED = Counter(
    "gateway_connections_ended_total",
    "Connections ended by the gateway because of their clients, by what was too slow or too much",
    ["reason"],
)
KEY_REQUESTS = Counter(
    "gateway_api_key_requests_total",
    "Requests by the name of their API key, and what it was good for",
    ["key", "outcome"],
)
SHADOW_OUTCOMES = ("compared", "dropped", "failed")
SHADOW_MAILS = Counter("gateway_shadow_mails_total", "Shadowed mails, by what became of their comparison", ["outcome"])
SHADOW_QUEUED_MAILS = Gauge("gateway_shadow_queued_mails", "Shadowed mails that wait or are under way")
CANARY_OUTCOMES = ("answered", "error", "unjudged")
"""Outcomes of a canary request: the candidate answered; it failed and the baseline answered; both failed.

The last says nothing about the candidate.
"""
CANARY_REQUESTS = Counter(
    "gateway_canary_requests_total", "Requests that the candidate was asked for, by what became of them", ["outcome"]
)
CANARY_SHARE = Gauge("gateway_canary_share", "Share of the baseline's requests that the candidate is asked for now")
CANARY_BOUNDS = ("errors", "latency")
CANARY_STOPPED = Gauge(
    "gateway_canary_stopped",
    "Whether the canary has stopped itself in this process, by the bound that it left",
    ["reason"],
)


def _begin() -> None:
    """Create the series of experiments, so that they exist even if none runs."""
    for outcome in SHADOW_OUTCOMES:
        SHADOW_MAILS.labels(outcome)
    for outcome in CANARY_OUTCOMES:
        CANARY_REQUESTS.labels(outcome)
    for bound in CANARY_BOUNDS:
        CANARY_STOPPED.labels(bound)


_begin()


@cache
def seconds_of(environment: str, handler: str, method: str, status: str) -> Histogram:
    """Return the `HTTP_SECONDS` series of these labels, looked up only once.

    The environment is empty for a request that was refused before it had one, and for the framework's own pages.
    """
    return HTTP_SECONDS.labels(environment, handler, method, status)
