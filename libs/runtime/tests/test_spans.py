"""Spans as the SDK records them."""

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from runtime.tracing import Tracer, TracingSettings, current, entered, part
from runtime.tracing.sampler import RUN

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
Headers = list[tuple[bytes, bytes]]


class Recorded:
    """Tracer and the spans that it has recorded."""

    def __init__(self, **settings: Any) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        given = TracingSettings(otel_exporter_otlp_endpoint="http://collector:4318", **settings)
        self.tracer = Tracer(provider.get_tracer("test"), given)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


def with_parent(value: str) -> Headers:
    return [(b"host", b"gateway"), (b"traceparent", value.encode())]


def test_a_sampled_parent_is_followed() -> None:
    recorded = Recorded(otel_traces_sampler="parentbased_always_off")
    span = recorded.tracer.request("GET", with_parent(SAMPLED))
    assert span is not None and span.trace_id == TRACE
    span.end()
    (found,) = recorded.spans.values()
    assert found.kind == SpanKind.SERVER and found.parent is not None
    assert f"{found.parent.span_id:016x}" == PARENT


def test_a_parent_that_is_not_sampled_is_followed_too() -> None:
    assert Recorded(otel_traces_sampler="parentbased_always_on").tracer.request("GET", with_parent(UNSAMPLED)) is None
    always = Recorded(otel_traces_sampler="always_on").tracer.request("GET", with_parent(UNSAMPLED))
    assert always is not None and always.trace_id == TRACE


@pytest.mark.parametrize(
    "value", ["", "01", "nonsense" * 10 + "1", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01"]
)
def test_what_is_no_traceparent_is_none(value: str) -> None:
    span = Recorded(otel_traces_sampler="parentbased_always_on").tracer.request("GET", with_parent(value))
    assert span is not None and span.trace_id != TRACE
    never = Recorded(otel_traces_sampler="parentbased_always_off").tracer
    assert never.request("GET", with_parent(value)) is None and never.follow("POST", value) is None


def test_clients_cannot_have_more_than_the_allowance() -> None:
    tracer = Recorded(otel_traces_sampler="parentbased_always_off", tracing_parents_per_second=0.001).tracer
    sampled = [tracer.request("GET", with_parent(SAMPLED)) for _ in range(RUN * 3)]
    assert sum(span is not None for span in sampled) == RUN
    # No allowance applies between hops: a request that the gateway samples is recorded to its end.
    assert all(tracer.follow("POST", SAMPLED) for _ in range(RUN * 3))


def test_hops_behind_the_first_sample_nothing_themselves() -> None:
    tracer = Recorded(otel_traces_sampler="always_on").tracer
    assert tracer.follow("POST", None) is None and tracer.follow("POST", UNSAMPLED) is None


def test_children_links_and_failures() -> None:
    recorded = Recorded(otel_traces_sampler="always_on")
    first, second = (recorded.tracer.request("GET", []) for _ in range(2))
    assert first is not None and second is not None
    child = first.child("batch", links=[first, second], client=True, since=17)
    child.set(batch__id="batch-1", mails=2)
    child.fail("upstream-timeout", "too slow")
    child.end()
    found = recorded.spans["batch"]
    assert [f"{link.context.trace_id:032x}" for link in found.links] == [first.trace_id, second.trace_id]
    assert found.start_time == 17 and found.kind == SpanKind.CLIENT
    assert found.attributes == {"batch.id": "batch-1", "mails": 2, "error.type": "upstream-timeout"}
    assert (found.status.status_code, found.status.description) == (StatusCode.ERROR, "upstream-timeout: too slow")
    assert child.traceparent.startswith(f"00-{first.trace_id}-") and child.traceparent[-1] in "13"


def test_parts_belong_to_the_span_that_was_entered() -> None:
    recorded = Recorded(otel_traces_sampler="always_on")
    with entered(recorded.tracer.request("POST", [])) as span:
        assert current() is span
        with pytest.raises(ValueError, match="bad"), part("score", rows=3):
            raise ValueError("bad")
    assert current() is None
    score, request = recorded.spans["score"], recorded.spans["POST"]
    assert score.parent is not None and score.parent.span_id == request.context.span_id
    assert score.attributes == {"rows": 3, "error.type": "ValueError"}
    assert request.status.status_code == StatusCode.UNSET


def test_without_a_span_nothing_happens() -> None:
    with entered(None) as span, part("score") as inner:
        assert span is inner is current() is None


OFF = """
import sys
from runtime import tracing
assert tracing.start(tracing.TracingSettings(), "gateway") is None
assert "opentelemetry.sdk" not in sys.modules and "opentelemetry.exporter" not in sys.modules
"""
ON = """
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from runtime import tracing
from runtime.tracing import export
recorded = InMemorySpanExporter()
export.OTLPSpanExporter = lambda endpoint: recorded
tracer = tracing.start(tracing.TracingSettings(), "gateway", "staging")
tracer.request("POST", []).end()
tracer.close(10)
(span,) = recorded.get_finished_spans()
print(dict(span.resource.attributes))
assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider", "FastAPI would trace every request"
"""


def run(script: str, **variables: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_off_the_sdk_is_not_imported() -> None:
    run(OFF)


def test_resource() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_SAMPLER": "always_on"}
    said = run(ON, **endpoint)
    assert "'service.name': 'gateway'" in said and "'deployment.environment.name': 'staging'" in said
    other = {"OTEL_SERVICE_NAME": "mail", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=canary,team=a"}
    said = run(ON, **endpoint, **other)
    assert "'service.name': 'mail'" in said and "'deployment.environment.name': 'canary'" in said
    assert "'team': 'a'" in said
