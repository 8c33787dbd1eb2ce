"""Hooks of the HTTP server: the gateway's answers to refused requests, and its counts of connections."""

from collections.abc import Callable

from gateway import problems
from gateway.http.access_log import new_request_id
from gateway.metrics import ConnectionMetrics
from gateway.problems import Problem
from gateway.routing.early_refusals import EarlyRefusals
from httpserver import REASONS, ConnectionLimits, Connections, Head, RefusalAnswer, RequestRefused


class ServerHooks:
    """The gateway's part in what the server refuses.

    Args:
        metrics: Counts the connections.
        early: Refuses mail without room; None refuses nothing at once.
    """

    def __init__(self, metrics: ConnectionMetrics, early: EarlyRefusals | None) -> None:
        self._ended = {reason: metrics.ended.labels(reason) for reason in REASONS}
        self.at_once: Callable[[Head], bytes | None] = early.at_once if early is not None else lambda head: None
        """Returns header lines and body of a 503 if the queue is full; None: the application answers."""

    def refusal(self, refused: RequestRefused) -> RefusalAnswer:
        """Return the problem of a request that the server refuses."""
        problem = Problem(refused.status, refused.kind, refused.detail, **refused.members)
        request_id = new_request_id()
        headers = {"content-type": problems.MEDIA_TYPE, "x-request-id": request_id} | problem.headers()
        headers.pop("Connection", None)
        return RefusalAnswer([(k.encode(), v.encode()) for k, v in headers.items()], problem.body(request_id))

    def ended(self, reason: str) -> None:
        """Count a connection that the server ended because of its client."""
        self._ended[reason].inc()


def connections(
    limits: ConnectionLimits, metrics: ConnectionMetrics, early: EarlyRefusals | None = None
) -> Connections:
    """Return the maker of one server's connections, which the metrics show."""
    made = Connections(limits, ServerHooks(metrics, early))
    metrics.open.set_function(lambda: made.open)
    metrics.waiting_bytes.set_function(lambda: made.waiting_bytes)
    return made
