"""Tests of traces across the real processes with a real receiver, and of log lines that refer to each other."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conftest import System, free_port, system
from otlp import SECONDS, Collector, Span, collector

PREDICT = "/api/v1/predict"
BATCH = "/api/v1/batch-predict"
ERROR = 2
NUMBERS = count(1)
STOP_SECONDS = 9
"""Seconds for a process to stop, less than the exporter's own ten: it must not wait for a hanging collector."""

SETTINGS = {"OTEL_TRACES_SAMPLER": "parentbased_always_off", "TRACING_PARENTS_PER_SECOND": "10000"}


def traceparent(sampled: bool = True) -> tuple[str, str]:
    """Return a trace of the client's, and its header."""
    trace = f"{next(NUMBERS):032x}"
    return trace, f"00-{trace}-00f067aa0ba902b7-0{int(sampled)}"


def patched(endpoint: str, **settings: str) -> pytest.MonkeyPatch:
    patch = pytest.MonkeyPatch()
    for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **SETTINGS, **settings}.items():
        patch.setenv(name, value)
    return patch


@pytest.fixture(scope="module")
def received() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, model: Path, received: Collector) -> Iterator[System]:
    """Yield a system whose every process sends its spans ten times a second."""
    patch = patched(received.url, OTEL_BSP_SCHEDULE_DELAY="100")
    try:
        with system(tmp_path_factory.mktemp("traced"), model) as found:
            yield found
    finally:
        patch.undo()


async def post(
    http: aiohttp.ClientSession, found: System, body: Any, path: str = PREDICT, **headers: str
) -> tuple[int, dict[str, Any]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.post(found.url + path, json=body, headers=named) as response:
        return response.status, await response.json(content_type=None)


def of(spans: list[Span], trace: str) -> list[Span]:
    return [span for span in spans if span.trace == trace]


async def spans_of(received: Collector, trace: str, expected: int) -> list[Span]:
    found = await asyncio.to_thread(received.wait, lambda spans: len(of(spans, trace)) >= expected)
    return of(found, trace)


async def line_of(found: System, request_id: str) -> dict[str, Any]:
    """Return the gateway's line for a request, which is written some time after the answer."""

    def lines() -> list[dict[str, Any]]:
        return [line for line in found.log("gateway") if line.get("request_id") == request_id]

    await until(lines)
    return lines()[0]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():
            await asyncio.sleep(0.05)


async def test_one_trace_leads_through_all_hops(
    http: aiohttp.ClientSession, traced: System, received: Collector
) -> None:
    trace, header = traceparent()
    status, answer = await post(
        http, traced, {"email_content": "hello"}, traceparent=header, X_Request_ID="mine", X_Environment="production"
    )
    assert status == 200
    spans = {(span.service, span.name): span for span in await spans_of(received, trace, 8)}
    infer = "POST /v2/models/spam-detector/infer"
    path = [
        ("gateway", "POST"),
        ("gateway", "batch"),
        ("transformer", infer),
        ("transformer", "ask the predictor"),
        ("predictor", infer),
        ("predictor", "score"),
    ]
    assert spans.keys() == {*path, ("gateway", "wait for a batch"), ("transformer", "extract features")}
    assert spans[path[0]].parent == "00f067aa0ba902b7"
    assert [spans[each].parent for each in path[1:]] == [spans[each].id for each in path[:-1]]
    assert spans["gateway", "wait for a batch"].parent == spans[path[0]].id
    assert spans["transformer", "extract features"].parent == spans[path[2]].id
    assert all(spans[inner].nanoseconds <= spans[outer].nanoseconds for outer, inner in pairwise(path))
    expected = {"request.id": "mine", "environment": "production", "http.response.status_code": 200, "mails": 1}
    assert expected.items() <= spans[path[0]].attributes.items()
    assert spans[path[0]].attributes["model.version"] == answer["model_version"]
    assert spans[path[1]].attributes["replica"].startswith("http://127.0.0.1:")
    assert spans[path[2]].attributes["request.id"] == spans[path[4]].attributes["request.id"] == "mine"
    assert (await line_of(traced, "mine"))["trace_id"] == trace


async def test_a_batch_is_linked_to_all_its_sampled_requests(
    http: aiohttp.ClientSession, traced: System, received: Collector
) -> None:
    traces = dict(traceparent() for _ in range(64))
    mail = {"email_content": "hello"}
    answers = await asyncio.gather(*(post(http, traced, mail, traceparent=header) for header in traces.values()))
    assert {status for status, _ in answers} == {200}

    def batches(spans: list[Span]) -> list[Span]:
        return [span for span in spans if span.name == "batch" and span.trace in traces]

    def linked(spans: list[Span]) -> list[tuple[str, str]]:
        return [link for span in batches(spans) for link in span.links]

    def asked(spans: list[Span]) -> set[tuple[str, str]]:
        return {(span.trace, span.id) for span in spans if span.name == "POST" and span.trace in traces}

    # A request's own span ends after that of its batch, and may be sent after it.
    spans = await asyncio.to_thread(received.wait, lambda spans: len(linked(spans)) == len(asked(spans)) == len(traces))
    requests = asked(spans)
    assert sorted(linked(spans)) == sorted(requests), "each sampled request is in one batch's links"
    shared = [span for span in batches(spans) if len(span.links) > 1]
    assert shared, "64 requests at once had 64 batches"
    assert all(span.attributes["sampled_requests"] == len(span.links) for span in shared)
    assert all((span.trace, span.parent) == span.links[0] for span in shared), "the first one's trace goes on"


async def test_what_is_not_sampled_has_no_span_at_any_hop(
    http: aiohttp.ClientSession, traced: System, received: Collector
) -> None:
    dropped, header = traceparent(sampled=False)
    mail = {"email_content": "hello"}
    for headers in ({"X_Request_ID": "none"}, {"X_Request_ID": "flag-0", "traceparent": header}):
        assert (await post(http, traced, mail, **headers))[0] == 200
    last, header = traceparent()
    assert (await post(http, traced, mail, traceparent=header))[0] == 200
    await spans_of(received, last, 8)
    assert not of(received.spans, dropped)
    assert not {span.attributes.get("request.id") for span in received.spans} & {"none", "flag-0"}
    for request_id in ("none", "flag-0"):
        assert "trace_id" not in await line_of(traced, request_id)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "kind"),
    [
        (PREDICT, {"email": 1}, {}, 422, "invalid-body"),
        (PREDICT, {"email_content": "x" * (2**20 + 1)}, {}, 413, "too-large"),
        (BATCH, {"emails": []}, {}, 422, "invalid-body"),
        (PREDICT, {"email_content": ""}, {"X_Environment": "test"}, 400, "unknown-environment"),
    ],
)
async def test_refusals_are_in_the_trace(
    http: aiohttp.ClientSession,
    traced: System,
    received: Collector,
    path: str,
    body: Any,
    headers: dict[str, str],
    status: int,
    kind: str,
) -> None:
    trace, header = traceparent()
    assert (await post(http, traced, body, path, traceparent=header, **headers))[0] == status
    (span,) = await spans_of(received, trace, 1)
    assert (span.attributes["http.response.status_code"], span.attributes["error.type"]) == (status, kind)
    assert span.status != ERROR, "the client's error is none of the server's"


async def test_an_error_is_found_from_the_request_id_through_every_log(
    http: aiohttp.ClientSession, tmp_path: Path, model: Path
) -> None:
    with collector() as received:
        patch = patched(received.url, OTEL_BSP_SCHEDULE_DELAY="100")
        try:
            with system(tmp_path, model) as found:
                found.kill("ps")
                trace, header = traceparent()
                mail = {"email_content": "hello"}
                first = post(http, found, mail, traceparent=header, X_Request_ID="first-" + "f" * 122)
                others = (post(http, found, mail, X_Request_ID=f"other-{i}") for i in range(40))
                answers = await asyncio.gather(first, *others)
                assert {status for status, _ in answers} == {503}
                spans = {span.name: span for span in await spans_of(received, trace, 6)}
                for i in range(40):
                    await line_of(found, f"other-{i}")
        finally:
            patch.undo()
    lines = {line["request_id"]: line for line in found.log("gateway") if "request_id" in line}
    logged = {line["request_id"]: line for line in found.log("ts") if line["message"] == "unavailable"}
    assert {lines[f"other-{i}"]["batch_id"] for i in range(40)} <= logged.keys()
    assert len(logged) < 41, "no two requests shared a batch, so nothing is shown"
    line = lines["first-" + "f" * 122]
    assert logged[line["batch_id"]]["trace_id"] == line["trace_id"] == trace
    assert spans["POST"].status == spans["batch"].status == spans["ask the predictor"].status == ERROR
    assert spans["POST"].message == "upstream-unavailable"
    assert spans["POST"].attributes["batch.id"] == line["batch_id"]


@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs"])
async def test_a_dead_collector_harms_no_request_and_no_end(
    http: aiohttp.ClientSession, tmp_path: Path, model: Path, hangs: bool
) -> None:
    with socket.socket() as listener:
        if hangs:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)
        port = listener.getsockname()[1] if hangs else free_port()
        patch = patched(f"http://127.0.0.1:{port}", OTEL_BSP_SCHEDULE_DELAY="50", OTEL_BSP_MAX_QUEUE_SIZE="512")
        try:
            with system(tmp_path, model) as found:
                mail = {"email_content": "hello"}
                for _ in range(10):
                    sent = (post(http, found, mail, traceparent=traceparent()[1]) for _ in range(40))
                    assert {status for status, _ in await asyncio.gather(*sent)} == {200}
                with await exporting(listener) if hangs else nullcontext(await until(lambda: warnings(found))):
                    for name in ("gateway", "ts", "ps"):
                        found.terminate(name)
                        await asyncio.to_thread(found.processes[name].wait, STOP_SECONDS)
        finally:
            patch.undo()
    assert len(warnings(found)) <= 3, "one line a minute of each process"
    assert hangs or warnings(found)


async def exporting(listener: socket.socket) -> socket.socket:
    """Return the connection of an exporter that waits for an answer."""
    connection, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(listener), SECONDS)
    return connection


def warnings(found: System) -> list[dict[str, Any]]:
    """Return what the exporters have logged."""
    lines = [line for name in ("gateway", "ts", "ps") for line in found.log(name)]
    return [line for line in lines if str(line.get("logger", "")).startswith("opentelemetry")]


async def test_the_last_spans_are_sent_at_the_end(http: aiohttp.ClientSession, tmp_path: Path, model: Path) -> None:
    with collector() as received:
        patch = patched(received.url, OTEL_BSP_SCHEDULE_DELAY="600000")
        try:
            with system(tmp_path, model) as found:
                trace, header = traceparent()
                assert (await post(http, found, {"email_content": "hello"}, traceparent=header))[0] == 200
                assert not received.spans
                for name in ("gateway", "ts", "ps"):
                    found.terminate(name)
                    await asyncio.to_thread(found.processes[name].wait, STOP_SECONDS)
                assert len(of(received.spans, trace)) == 8
        finally:
            patch.undo()


async def test_sixteen_in_a_row_by_the_share(http: aiohttp.ClientSession, tmp_path: Path, model: Path) -> None:
    with collector() as received:
        patch = patched(
            received.url,
            OTEL_BSP_SCHEDULE_DELAY="100",
            OTEL_TRACES_SAMPLER="parentbased_traceidratio",
            OTEL_TRACES_SAMPLER_ARG="0.2",
        )
        try:
            with system(tmp_path, model) as found:
                for i in range(320):
                    headers = {"X_Request_ID": str(i), "X_Environment": "production"}
                    assert (await post(http, found, {"email_content": "hello"}, **headers))[0] == 200
                await asyncio.to_thread(received.wait, lambda spans: len(spans) > 16 * 8)
                await line_of(found, "319")
                lines = [line for line in found.log("gateway") if line.get("message") == "request"]
        finally:
            patch.undo()
    sampled = [int(line["request_id"]) for line in lines if "trace_id" in line]
    runs = [i for i in sampled if i - 1 not in sampled]
    assert runs and all(set(range(i, min(i + 16, 320))) <= set(sampled) for i in runs)
    assert len(sampled) < 320
