"""Trace attributes of requests and batches; only sampled requests have spans."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from time import time_ns

from starlette.types import Scope

from gateway.predictions.transformer_client import BatchRefused
from gateway.problems import Problem
from runtime import masked_text
from runtime.tracing import Span, Tracer

SPAN = "gateway.span"
"""Scope key of the request's span."""
OF_STATE = {
    "request_id": "request.id",
    "batch_id": "batch.id",
    "environment": "environment",
    "mails": "mails",
    "problem": "error.type",
}
"""Span attributes by their names in the access log."""
CLIENT_GONE = "client-gone"


def begin(tracer: Tracer, scope: Scope) -> Span | None:
    """Begin the request's span by its headers and the sampling ratio; return None if it is not sampled."""
    span = tracer.request(scope["method"], scope["headers"])
    if span is not None:
        scope[SPAN] = span
        scope["state"]["trace_id"] = span.trace_id
    return span


def end(span: Span, scope: Scope, status: int) -> None:
    """End the request's span with its answer's status, or 0 if the client went before there was an answer.

    A 4xx is not an error of the server (https://opentelemetry.io/docs/specs/semconv/http/http-spans/), so only its kind
    is recorded.
    """
    state = scope["state"]
    span.set(http__request__method=scope["method"], url__path=masked_text(scope["path"]))
    span.set(**{attribute: state[name] for name, attribute in OF_STATE.items() if name in state})
    if status:
        span.set(http__response__status_code=status)
    else:
        span.set(error__type=CLIENT_GONE)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(state.get("problem", "internal"))
    span.end()


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
