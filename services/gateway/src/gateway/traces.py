"""What a request's and a batch's spans say; all of it happens for sampled requests only."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from time import time_ns

from starlette.types import Scope

from gateway.problems import Problem
from gateway.transformer_client import BatchRefused
from runtime import masked_text
from tracing import Span, Tracer

SPAN = "gateway.span"
"""Where the request's span stands in its scope."""
OF_STATE = {
    "request_id": "request.id",
    "batch_id": "batch.id",
    "environment": "environment",
    "mails": "mails",
    "problem": "error.type",
}
"""Attributes by the names that the access log has for them."""
CLIENT_GONE = "client-gone"


def begin(tracer: Tracer, scope: Scope) -> Span | None:
    """The request's span, by its headers and the share that is kept; None when it is not sampled."""
    span = tracer.request(scope["method"], scope["headers"])
    if span is not None:
        scope[SPAN] = span
        scope["state"]["trace_id"] = span.trace_id
    return span


def end(span: Span, scope: Scope, status: int) -> None:
    """End the request's span by its answer's status; 0 when the client went before there was any.

    A 4xx is no error of the server (https://opentelemetry.io/docs/specs/semconv/http/http-spans/); its kind is said.
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
        spans: With the time of arrival of each, on the clock of `now`, in seconds.
        now: When the waiting ended.
    """
    ended = time_ns()
    for span, arrived in spans:
        span.child("wait for a batch", since=ended - round((now - arrived) * 1e9)).end(ended)


@contextmanager
def batch(spans: Sequence[Span], environment: str, batch_id: str, mails: int) -> Iterator[Span | None]:
    """The span of a batch: a child of its first sampled request, linked to all of them; None for none."""
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
