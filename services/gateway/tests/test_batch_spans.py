"""Traces sent to transformers and spans of batches; tests/system/test_traces_across_hops.py covers whole traces."""

import asyncio
from http import HTTPStatus

import pytest
from aiohttp import web
from conftest import FakeTransformer, mail
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from gateway.predictions.coalescer import Coalescer
from gateway.problems import Problem
from runtime.tracing import Span, Tracer, TracingSettings


class Recorder:
    """Recorder of sampled request spans."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        settings = TracingSettings(otel_exporter_otlp_endpoint="http://collector:4318", otel_traces_sampler="always_on")
        self._tracer = Tracer(provider.get_tracer("test"), settings)

    def request(self) -> Span:
        span = self._tracer.request("POST", [])
        assert span is not None
        return span

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def parents(transformer: FakeTransformer) -> list[str | None]:
    """Return the traceparent of each batch that arrives."""
    seen: list[str | None] = []

    async def note(request: web.Request, _: list[str]) -> None:
        seen.append(request.headers.get("traceparent"))

    transformer.fault = note
    return seen


async def send(coalescer: Coalescer, *spans: Span | None) -> list[object]:
    futures = [future for span in spans for future in coalescer.submit([mail(0.5)], [3], span)]
    return await asyncio.gather(*futures, return_exceptions=True)


async def test_only_batches_with_a_sampled_request_have_a_traceparent(
    coalescer: Coalescer, parents: list[str | None], recorder: Recorder
) -> None:
    await send(coalescer, None, None)
    span = recorder.request()
    await send(coalescer, None, span, None)
    assert parents[0] is None
    assert parents[1] is not None and parents[1].split("-")[1] == span.trace_id


async def test_two_sampled_requests_of_one_batch_are_both_linked(
    coalescer: Coalescer, parents: list[str | None], recorder: Recorder
) -> None:
    spans = [recorder.request(), recorder.request()]
    await send(coalescer, spans[0], None, spans[1])
    (found,) = recorder.named("batch")
    assert [f"{link.context.trace_id:032x}" for link in found.links] == [span.trace_id for span in spans]
    assert found.attributes is not None and found.attributes["mails"] == 3
    assert parents == [f"00-{spans[0].trace_id}-{found.context.span_id:016x}-{parents[0][-2:] if parents[0] else ''}"]
    assert len(recorder.named("wait for a batch")) == 2


async def test_a_failure_is_said_by_its_kind_and_names_its_batch(
    coalescer: Coalescer, transformer: FakeTransformer, recorder: Recorder
) -> None:
    ids: list[str] = []

    async def down(request: web.Request, _: list[str]) -> web.Response:
        ids.append(request.headers["X-Request-ID"])
        return web.json_response({"error": "asleep"}, status=HTTPStatus.SERVICE_UNAVAILABLE)

    transformer.fault = down
    outcomes = await send(coalescer, recorder.request(), None)
    assert all(isinstance(problem, Problem) and problem.batch_id == ids[0] for problem in outcomes)
    (found,) = recorder.named("batch")
    assert found.status.status_code == StatusCode.ERROR
    assert found.status.description == "upstream-unavailable: staging: the transformer answered 503: asleep"
    assert found.attributes is not None and found.attributes["batch.id"] == ids[0]
