"""Spans of sampled requests, and the choice of requests that have them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runtime.tracing.sampler import Allowance, Runs
from runtime.tracing.settings import TracingSettings

Value = str | int | float | bool

SAMPLED = b"13579bdf"
"""Last digits of a traceparent with the sampled flag, which is the lowest bit, set."""
LENGTH = 55
FLAGS = slice(54, 55)

_CONTEXT = TraceContextTextMapPropagator()
_NO_CONTEXT = Context()
_CURRENT: ContextVar["Span | None"] = ContextVar("span", default=None)


class Span:
    """A span of a sampled request; other requests have none."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def trace_id(self) -> str:
        """Return the trace id as 32 hex digits."""
        return trace.format_trace_id(self._span.get_span_context().trace_id)

    @property
    def traceparent(self) -> str:
        """Return the header that makes the next hop's spans children of this one.

        See https://www.w3.org/TR/trace-context/.
        """
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier, trace.set_span_in_context(self._span, _NO_CONTEXT))
        return carrier["traceparent"]

    def child(self, name: str, links: Sequence["Span"] = (), client: bool = False, since: int | None = None) -> "Span":
        """Begin a child of this span.

        Args:
            name: Name of the work.
            links: Spans of other requests that the work also serves.
            client: Whether another service does the work.
            since: Start of the work in nanoseconds since 1970; None for now.
        """
        span = self._tracer.start_span(
            name,
            trace.set_span_in_context(self._span, _NO_CONTEXT),
            SpanKind.CLIENT if client else SpanKind.INTERNAL,
            links=[Link(linked._span.get_span_context()) for linked in links],
            start_time=since,
        )
        return Span(self._tracer, span)

    def set(self, **attributes: Value) -> None:
        """Set attributes; the argument `http__route` sets `http.route`."""
        self._span.set_attributes({name.replace("__", "."): value for name, value in attributes.items()})

    def event(self, name: str) -> None:
        """Record an event that has just happened."""
        self._span.add_event(name)

    def fail(self, kind: str, detail: str = "") -> None:
        """Mark the span as failed, with the kind of failure."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR, f"{kind}: {detail}" if detail else kind)

    def end(self, at: int | None = None) -> None:
        """End the span; `at` is in nanoseconds since 1970, None for now."""
        self._span.end(at)


class Tracer:
    """Tracer: makes this process's first span of a sampled request.

    Args:
        tracer: OpenTelemetry tracer of a provider that records every span: sampling is decided here, before there is
            one.
        settings: Which requests are sampled.
    """

    def __init__(self, tracer: trace.Tracer, settings: TracingSettings) -> None:
        self._tracer = tracer
        self._runs = Runs(settings.ratio)
        self._follows_parents = settings.follows_parents
        self._allowance = Allowance(settings.tracing_parents_per_second)

    def request(self, name: str, headers: Sequence[tuple[bytes, bytes]]) -> Span | None:
        """Return the span of a client's request, or None if it is not sampled.

        A request whose traceparent has the sampled flag is sampled within the allowance, and never without the flag.
        Requests without a traceparent are sampled by the ratio. tracestate is not propagated.
        """
        traceparent = None
        for key, value in headers:
            if key == b"traceparent":
                traceparent = value
        if traceparent is None or not self._follows_parents:
            return self._server(name, _read(traceparent)) if self._runs() else None
        if _is_unsampled(traceparent):
            return None
        parent = _read(traceparent)
        wanted = self._runs() if parent is _NO_CONTEXT else _is_sampled(parent) and self._allowance()
        return self._server(name, parent) if wanted else None

    def follow(self, name: str, traceparent: str | None) -> Span | None:
        """Return the span of a request from the previous hop, or None unless that hop has a span."""
        if traceparent is None:
            return None
        parent = _read(traceparent.encode())
        return self._server(name, parent) if _is_sampled(parent) else None

    def close(self, seconds: float) -> None:
        """Send waiting spans; give up after this many seconds."""

    def _server(self, name: str, parent: Context) -> Span:
        return Span(self._tracer, self._tracer.start_span(name, parent, SpanKind.SERVER))


def current() -> Span | None:
    """Return the span that `entered` has made current for this task, or None if the request is not sampled."""
    return _CURRENT.get()


@contextmanager
def entered(span: Span | None) -> Iterator[Span | None]:
    """Make a request's span current, and end it on exit; do nothing for None."""
    if span is None:
        yield None
        return
    token = _CURRENT.set(span)
    try:
        yield span
    finally:
        _CURRENT.reset(token)
        span.end()


@contextmanager
def part(name: str, client: bool = False, **attributes: Value) -> Iterator[Span | None]:
    """Time a part of the current span's work; an exception marks it as failed. Do nothing without a current span."""
    parent = _CURRENT.get()
    if parent is None:
        yield None
        return
    span = parent.child(name, client=client)
    span.set(**attributes)
    try:
        yield span
    except Exception as error:
        span.fail(type(error).__name__, str(error))
        raise
    finally:
        span.end()


def _is_unsampled(traceparent: bytes) -> bool:
    """Return whether a traceparent of version 00 lacks the sampled flag. This must be fast: meshes always send one."""
    return len(traceparent) == LENGTH and traceparent[FLAGS] not in SAMPLED


def _is_sampled(context: Context) -> bool:
    return trace.get_current_span(context).get_span_context().trace_flags.sampled


def _read(traceparent: bytes | None) -> Context:
    """Return the context that a traceparent names, or the object `_NO_CONTEXT` if it names none."""
    if traceparent is None:
        return _NO_CONTEXT
    context = _CONTEXT.extract({"traceparent": traceparent.decode("latin-1")}, _NO_CONTEXT)
    return context if trace.get_current_span(context).get_span_context().is_valid else _NO_CONTEXT
