"""Spans of sampled requests: their begin, their attributes and their end."""

from http import HTTPStatus

from starlette.types import Scope

from gateway.http.request_record import RequestRecord
from runtime import masked_text
from runtime.tracing import Span, Tracer

ATTRIBUTES = {
    "request_id": "request.id",
    "batch_id": "batch.id",
    "environment": "environment",
    "mails": "mails",
    "problem": "error.type",
}
"""Span attributes by their names in the access log."""
CLIENT_GONE = "client-gone"


def begin(tracer: Tracer, scope: Scope, record: RequestRecord) -> Span | None:
    """Begin the request's span by its headers and the sampling ratio; return None if it is not sampled."""
    span = tracer.request(scope["method"], scope["headers"])
    if span is not None:
        record.span, record.trace_id = span, span.trace_id
    return span


def end(span: Span, scope: Scope, record: RequestRecord, status: int) -> None:
    """End the request's span with its answer's status, or 0 if the client went before there was an answer.

    A 4xx is not an error of the server (https://opentelemetry.io/docs/specs/semconv/http/http-spans/), so only its kind
    is recorded.
    """
    logged = record.logged()
    span.set(http__request__method=scope["method"], url__path=masked_text(scope["path"]))
    span.set(**{attribute: logged[name] for name, attribute in ATTRIBUTES.items() if name in logged})
    if status:
        span.set(http__response__status_code=status)
    else:
        span.set(error__type=CLIENT_GONE)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(record.problem or "internal")
    span.end()
