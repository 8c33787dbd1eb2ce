"""Spans of batches that have sampled requests in them, and of the wait for a batch."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import time_ns

from gateway.predictions.transformer_client import BatchRefused
from gateway.problems import Problem
from runtime.tracing import Span


def waited(spans: Iterable[tuple[Span, float]], now: float) -> None:
    """Record how long sampled requests have waited for their batch.

    Args:
        spans: Spans, each with its time of arrival in seconds on the clock of `now`.
        now: End of the wait.
    """
    ended = time_ns()
    for span, arrived in spans:
        span.child("wait for a batch", since=ended - round((now - arrived) * 1e9)).end(ended)


@contextmanager
def batch(spans: Sequence[Span], environment: str, batch_id: str, mails: int) -> Iterator[Span | None]:
    """Open the span of a batch: a child of its first sampled request, linked to all of them; None if there is none."""
    if not spans:
        yield None
        return
    span = spans[0].child("batch", links=spans, client=True)
    span.set(environment=environment, batch__id=batch_id, mails=mails, sampled_requests=len(spans))
    try:
        yield span
    except BatchRefused as refused:
        span.fail(refused.problem.kind, refused.problem.detail)
        raise
    except Problem as problem:
        span.fail(problem.kind, problem.detail)
        raise
    finally:
        span.end()
