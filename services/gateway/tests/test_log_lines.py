"""Fields of log lines and request spans, in their order: log pipelines and dashboards read them by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from clients import app_of, in_process
from conftest import FakeTransformer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from serving import client_of, head, post, serving
from waiting import Clock

from gateway.access.api_keys import digest_of, new_key
from gateway.app import GatewayApp
from gateway.http.limits import ConnectionLimits
from gateway.http.sampled_lines import SampledLines as Sampled
from runtime.tracing import Tracer, TracingSettings

PREDICT, BATCH = "/api/v1/predict", "/api/v1/batch-predict"
MAIL = {"email_content": "0.5"}
KEY = new_key()
COMMON = ["time", "level", "logger", "message", "method", "path", "status", "duration_ms", "request_id"]
"""Fields of every line."""
CANARY: dict[str, Any] = {"canary_share": 1, "canary_max_error_rate": 0.1, "canary_max_latency_seconds": 10}

Fields = Callable[[], list[list[str]]]


def gateway(transformer: FakeTransformer, tracer: Tracer | None = None, **settings: Any) -> GatewayApp:
    environments = {"staging": transformer.url, "production": transformer.url}
    return app_of(environments, tracer, **settings)


async def ask(app: GatewayApp, *sent: tuple[str, object], **headers: str) -> None:
    """Post each body, or send a GET where it is None."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with app.router.lifespan_context(app), in_process(app) as http:
        for path, body in sent:
            await (http.get(path, headers=named) if body is None else http.post(path, json=body, headers=named))


@pytest.fixture
def fields(capsys: pytest.CaptureFixture[str]) -> Fields:
    """Return a function that returns the fields of each line after those that all lines have."""

    def found() -> list[list[str]]:
        lines = [list(json.loads(text)) for text in capsys.readouterr().out.splitlines()]
        assert all(line[: len(COMMON)] == COMMON for line in lines)
        return [line[len(COMMON) :] for line in lines]

    return found


@pytest.mark.parametrize(
    ("path", "body", "headers", "expected"),
    [
        (PREDICT, MAIL, {}, ["environment"]),
        (BATCH, {"emails": ["0.5", "0.25"]}, {}, ["environment", "mails"]),
        ("/api/v1/explain", MAIL, {}, ["environment"]),
        (PREDICT, {}, {}, ["environment", "problem"]),
        (PREDICT, MAIL, {"X_Environment": "nowhere"}, ["problem"]),
        (PREDICT, MAIL, {"X_Request_ID": "a b"}, ["problem"]),
        (PREDICT, None, {}, ["problem"]),
        ("/nowhere", None, {}, ["problem"]),
        ("/docs", None, {}, []),
    ],
)
async def test_a_line_has_its_fields(
    transformer: FakeTransformer,
    fields: Fields,
    path: str,
    body: object,
    headers: dict[str, str],
    expected: list[str],
) -> None:
    await ask(gateway(transformer), (path, body), **headers)
    assert fields() == [expected]


async def test_sampled_lines_count_those_left_out(
    transformer: FakeTransformer, fields: Fields, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.0, 0.05, 0.2, 0.0, 0.05, 0.2])
    monkeypatch.setattr("gateway.http.access_log.SampledLines", lambda: Sampled(lambda: next(seconds)))
    await ask(gateway(transformer), *[("/nowhere", None)] * 3)
    await ask(gateway(transformer), *[("/docs", None)] * 3)
    assert fields() == [["problem"], ["problem", "refused_before"], [], ["answered_before"]]


async def test_a_failed_batch_is_named(transformer: FakeTransformer, fields: Fields) -> None:
    async def fail(_: web.Request, __: list[str]) -> web.Response:
        return web.json_response({"error": "broken"}, status=500)

    transformer.fault = fail
    await ask(gateway(transformer), (PREDICT, MAIL), (BATCH, {"emails": ["0.5"]}))
    assert fields() == [["environment", "problem", "batch_id"], ["environment", "mails", "problem", "batch_id"]]


async def test_the_key_comes_before_the_environment(
    transformer: FakeTransformer, fields: Fields, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    entry = {"name": "shop", "sha256": digest_of(KEY).hex(), "environments": ["staging"]}
    keys.write_text(json.dumps({"keys": [entry]}))
    app = gateway(transformer, api_keys_file=keys)
    await ask(app, (PREDICT, MAIL), (BATCH, {"emails": ["0.5"]}), X_API_Key=KEY)
    await ask(app, (PREDICT, MAIL), X_API_Key=KEY, X_Environment="production")
    await ask(app, (PREDICT, MAIL))
    assert fields() == [
        ["key", "environment"],
        ["key", "environment", "mails"],
        ["key", "environment", "problem"],
        ["problem"],
    ]


async def test_what_the_canary_answered_says_so(transformer: FakeTransformer, fields: Fields) -> None:
    app = gateway(transformer, **CANARY)
    await ask(app, (PREDICT, MAIL), (BATCH, {"emails": ["0.5"]}), X_Environment="production")
    assert fields() == [["environment", "answered_by"], ["environment", "mails", "answered_by"]]


async def test_refusals_at_the_gate_count_those_before(
    transformer: FakeTransformer, fields: Fields, line_clock: Clock
) -> None:
    transformer.gate.clear()
    async with serving(gateway(transformer, max_queued_mails=1), ConnectionLimits(60)) as port, client_of(port) as full:
        full.send(post(PREDICT, MAIL))
        await transformer.wait_for_batches(1)
        async with client_of(port) as client:
            for later in (0, 0, 1, 0):
                line_clock.now += later
                client.send(post(PREDICT, MAIL))
                assert (await client.answer())[0] == 503
        transformer.gate.set()
        assert (await full.answer())[0] == 200
    assert fields() == [["environment", "problem"], ["environment", "problem", "refused_before"], ["environment"]]


async def test_a_late_body_says_so(
    transformer: FakeTransformer, fields: Fields, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpserver.sweep.SWEEP_SECONDS", 0.02)
    app = gateway(transformer, max_body_seconds=0.1)
    async with serving(app, ConnectionLimits(60, body=0.1)) as port, client_of(port) as client:
        client.send(head(PREDICT, length=10), b"{")
        assert (await client.answer())[0] == 408
    assert fields() == [["environment", "body_late", "problem"]]


async def test_a_bug_is_logged_with_its_request(
    transformer: FakeTransformer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.http.bodies.sizes", lambda *_: 1 / 0)
    await ask(gateway(transformer), (PREDICT, MAIL), X_Request_ID="mine")
    (record,) = [each for each in caplog.records if each.message == "request failed"]
    assert (vars(record)["request_id"], vars(record)["environment"]) == ("mine", "staging")
    assert "problem" not in vars(record)


@pytest.fixture
def spans() -> tuple[Tracer, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    settings = TracingSettings(otel_exporter_otlp_endpoint="http://collector:4318", otel_traces_sampler="always_on")
    return Tracer(provider.get_tracer("test"), settings), exporter


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (PREDICT, MAIL, ["model.version", "mails", "http.request.method", "url.path", "request.id", "environment"]),
        (
            BATCH,
            {"emails": ["0.5"]},
            ["model.version", "http.request.method", "url.path", "request.id", "environment", "mails"],
        ),
        (PREDICT, {}, ["http.request.method", "url.path", "request.id", "environment", "error.type"]),
    ],
)
async def test_a_span_has_its_attributes(
    transformer: FakeTransformer,
    spans: tuple[Tracer, InMemorySpanExporter],
    fields: Fields,
    path: str,
    body: object,
    expected: list[str],
) -> None:
    tracer, exporter = spans
    await ask(gateway(transformer, tracer), (path, body))
    (span,) = [each for each in exporter.get_finished_spans() if each.name == "POST"]
    assert list(span.attributes or {}) == [*expected, "http.response.status_code"]
    assert fields()[0][0] == "trace_id"
