import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from echo_server import FAILURES, Echo
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.types import Receive, Scope, Send

from kserving.infer_path import InferPath
from runtime.tracing import Tracer, TracingSettings

PATH = "/v2/models/echo/infer"


class Framework:
    """Stand-in for the SDK's application: it says that a request was passed on."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"passed on"})


@pytest.fixture
def model() -> Echo:
    return Echo()


@pytest.fixture
async def http(model: Echo) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(InferPath(Framework(), model))
    async with httpx.AsyncClient(transport=transport, base_url="http://model") as client:
        yield client


def request(*data: object, **changes: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "BYTES", "shape": [len(data)], "data": list(data)} | changes
    return {"id": "1", "inputs": [tensor]}


ANSWER = {
    "model_name": "echo",
    "model_version": "7",
    "id": "1",
    "outputs": [{"name": "x", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}],
    "parameters": {"a": 1},
}


async def test_json_is_answered(http: httpx.AsyncClient) -> None:
    assert (await http.post(PATH, json=request("a", "b"))).json() == ANSWER


async def test_binary_framing_around_json_is_answered(http: httpx.AsyncClient) -> None:
    body = json.dumps(request("a", "b")).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(body))}
    assert (await http.post(PATH, content=body, headers=headers)).json() == ANSWER


async def test_json_without_a_type_is_answered(http: httpx.AsyncClient) -> None:
    """Triton's client sends JSON this way."""
    assert (await http.post(PATH, content=json.dumps(request("a", "b")))).json() == ANSWER


async def test_a_body_in_pieces_is_read_whole(http: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in json.dumps(request("a", "b")).encode():
            yield bytes([byte])

    response = await http.post(PATH, content=pieces(), headers={"Content-Type": "application/json"})
    assert response.json() == ANSWER


@pytest.mark.parametrize(
    "options",
    [
        {"content": b"{}", "headers": {"Content-Type": "text/plain"}},
        {"content": b"{}", "headers": {"Content-Type": "application/json", "ce-specversion": "1.0"}},
        {
            "content": b"{}\x01\x00\x00\x00a",
            "headers": {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": "2"},
        },
    ],
    ids=["another type", "a CloudEvent", "binary tensors"],
)
async def test_what_is_out_of_the_ordinary_is_passed_on(http: httpx.AsyncClient, options: dict[str, Any]) -> None:
    assert (await http.post(PATH, **options)).status_code == 299


async def test_other_paths_methods_and_unready_models_are_passed_on(http: httpx.AsyncClient, model: Echo) -> None:
    assert (await http.get(PATH)).status_code == 299
    assert (await http.post("/v1/models/echo:predict", json={})).status_code == 299
    model.ready = False
    assert (await http.post(PATH, json=request("a"))).status_code == 299


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"inputs": 1}',
        b'{"inputs": [1]}',
        b'{"inputs": [{}]}',
        json.dumps(request("a", data="text")).encode(),
        json.dumps(request("a", shape=1)).encode(),
        json.dumps({"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1]}]}).encode(),
        json.dumps(request("a", name=["x"])).encode(),
        json.dumps(request("a", datatype=["BYTES"])).encode(),
        json.dumps({**request("a"), "id": 1}).encode(),
        json.dumps({**request("a"), "parameters": ["explain"]}).encode(),
        json.dumps({**request("a"), "outputs": 1}).encode(),
        json.dumps({**request("a"), "outputs": [{"name": ["x"]}]}).encode(),
        b"[" * 100_000,
    ],
)
async def test_what_is_no_request_is_400(http: httpx.AsyncClient, body: bytes) -> None:
    response = await http.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]


@pytest.mark.parametrize(("value", "status"), [("invalid", 400), ("down", 503), ("bug", 500)])
async def test_failures_have_the_protocols_shape(http: httpx.AsyncClient, value: str, status: int) -> None:
    response = await http.post(PATH, json=request(value))
    assert response.status_code == status
    assert str(FAILURES[value]) in response.json()["error"]


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False)])
async def test_a_request_of_a_sampled_span_has_one_of_its_own(model: Echo, flags: str, sampled: bool) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = Tracer(provider.get_tracer("test"), TracingSettings(otel_exporter_otlp_endpoint="http://collector:4318"))
    transport = httpx.ASGITransport(InferPath(Framework(), model, tracer))
    parent = f"00-{'a' * 32}-{'b' * 16}-{flags}"
    async with httpx.AsyncClient(transport=transport, base_url="http://model") as client:
        headers = {"traceparent": parent, "X-Request-ID": "batch-7-mine"}
        assert (await client.post(PATH, json=request("a"), headers=headers)).status_code == 200
        assert (await client.post(PATH, content=b"{", headers=headers)).status_code == 400
    spans = exporter.get_finished_spans()
    assert len(spans) == (2 if sampled else 0)
    if sampled:
        good, bad = (dict(span.attributes or {}) for span in spans)
        assert (good["request.id"], good["http.response.status_code"]) == ("batch-7-mine", 200)
        assert (bad["error.type"], bad["http.response.status_code"]) == ("invalid-input", 400)
        assert all(f"{span.context.trace_id:032x}" == "a" * 32 for span in spans)
