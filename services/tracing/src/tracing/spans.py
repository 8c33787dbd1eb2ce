"""Spans, and which requests have them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tracing.sampler import Allowance, Runs
from tracing.settings import Settings

Value = str | int | float | bool

SAMPLED = b"13579bdf"
"""Last digits of a traceparent whose sampled flag, the lowest bit, is set."""
LENGTH = 55
FLAGS = slice(54, 55)

_CONTEXT = TraceContextTextMapPropagator()
_NO_CONTEXT = Context()
_CURRENT: ContextVar["Span | None"] = ContextVar("span", default=None)


class Span:
    """A span of a sampled request; what is not sampled has none."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return trace.format_trace_id(self._span.get_span_context().trace_id)

    @property
    def traceparent(self) -> str:
        """The header that makes spans of the next hop this one's children (https://www.w3.org/TR/trace-context/)."""
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier, trace.set_span_in_context(self._span, _NO_CONTEXT))
        return carrier["traceparent"]

    def child(self, name: str, links: Sequence["Span"] = (), client: bool = False, since: int | None = None) -> "Span":
        """Begin a part of this span.

        Args:
            name: What is done in it.
            links: Other requests' spans that it works for.
            client: Whether another service does the work.
            since: When it began, nanoseconds since 1970; None for now.
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
        """Set attributes; `http__route` is `http.route`."""
        self._span.set_attributes({name.replace("__", "."): value for name, value in attributes.items()})

    def event(self, name: str) -> None:
        """Note that something has happened now."""
        self._span.add_event(name)

    def fail(self, kind: str, detail: str = "") -> None:
        """Say that it has failed, and how."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR, f"{kind}: {detail}" if detail else kind)

    def end(self, at: int | None = None) -> None:
        """End it; `at` in nanoseconds since 1970, None for now."""
        self._span.end(at)


class Tracer:
    """Makes the first span of a sampled request in this process.

    Args:
        tracer: Of a provider that records whatever it is asked for: who is sampled is decided here, before there is a
            span.
        settings: Which requests are sampled.
    """

    def __init__(self, tracer: trace.Tracer, settings: Settings) -> None:
        self._tracer = tracer
        self._runs = Runs(settings.ratio)
        self._follows_parents = settings.follows_parents
        self._allowance = Allowance(settings.tracing_parents_per_second)

    def request(self, name: str, headers: Sequence[tuple[bytes, bytes]]) -> Span | None:
        """The span of a client's request; None when it is not sampled.

        A sampled traceparent is honoured within the allowance, one without the flag always; other clients' requests
        are sampled by the ratio. tracestate is not carried on.
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
        """The span of a request from our own hop before; None unless that one has a span too."""
        if traceparent is None:
            return None
        parent = _read(traceparent.encode())
        return self._server(name, parent) if _is_sampled(parent) else None

    def close(self, seconds: float) -> None:
        """Send what waits; gives up after so long."""

    def _server(self, name: str, parent: Context) -> Span:
        return Span(self._tracer, self._tracer.start_span(name, parent, SpanKind.SERVER))


def current() -> Span | None:
    """The span that `entered` has made current for this task, if its request is sampled."""
    return _CURRENT.get()


@contextmanager
def entered(span: Span | None) -> Iterator[Span | None]:
    """Make a request's span the current one, and end it; nothing for None."""
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
    """Time a part of the current span's work; it fails by what is raised. Nothing where nothing is sampled."""
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
    """Whether it is one of version 00 whose sampled flag is not set: seen in no time, since meshes send them always."""
    return len(traceparent) == LENGTH and traceparent[FLAGS] not in SAMPLED


def _is_sampled(context: Context) -> bool:
    return trace.get_current_span(context).get_span_context().trace_flags.sampled


def _read(traceparent: bytes | None) -> Context:
    """The context that a traceparent names; the very `_NO_CONTEXT` where it names none."""
    if traceparent is None:
        return _NO_CONTEXT
    context = _CONTEXT.extract({"traceparent": traceparent.decode("latin-1")}, _NO_CONTEXT)
    return context if trace.get_current_span(context).get_span_context().is_valid else _NO_CONTEXT
