"""Fake transformer and fixtures: the real one cannot be made to hang, lie or break off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import orjson
import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import TestServer
from waiting import Clock, until

from gateway.http.sampled_lines import SampledLines
from gateway.metrics import EnvironmentMetrics, Metrics
from gateway.predictions.coalescer import Coalescer
from gateway.predictions.environment import Environment
from gateway.predictions.mails import Mail
from gateway.predictions.queue import QueueLimits
from gateway.predictions.transformer_client import TransformerClient
from gateway.settings import GatewaySettings
from inference import Replicas


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the event loop that the command uses: its transports differ from asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


Fault = Callable[[web.Request, list[str]], Awaitable[web.StreamResponse | None]]


@dataclass
class FakeTransformer:
    """Fake transformer that answers each mail with the number in its text; `fault` may answer in its place."""

    batches: list[list[str]] = field(default_factory=list)
    connections: int = 0
    fault: Fault | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    ready: bool = True
    reason: str = ""
    probed: int = 0
    under_way: int = 0
    most_under_way: int = 0
    quantiles: list[float] | None = field(default_factory=lambda: [float(i) for i in range(30)])

    async def infer(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        body = orjson.loads(await request.read())
        mails = body["inputs"][0]["data"]
        self.batches.append(mails)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(request, body, mails)
        finally:
            self.under_way -= 1

    async def _answer(self, request: web.Request, body: dict[str, Any], mails: list[str]) -> web.StreamResponse:
        await self.gate.wait()
        if self.fault and (answer := await self.fault(request, mails)):
            return answer
        answer = verdicts(mails)
        if (body.get("parameters") or {}).get("explain"):
            answer["outputs"] += explanation(mails, self.quantiles)
        return web.json_response(answer)

    async def is_ready(self, _: web.Request) -> web.Response:
        self.probed += 1
        body = {"error": self.reason} if self.reason else {"ready": self.ready}
        return web.json_response(body, status=200 if self.ready else 503)

    async def wait_for_batches(self, n: int) -> None:
        await until(lambda: len(self.batches) >= n)


SHA256 = "ab" * 32
THRESHOLD = 0.5


def explanation(mails: list[str], quantiles: list[float] | None) -> list[dict[str, object]]:
    """Return two features of each mail, its length and a one."""
    outputs: list[dict[str, object]] = [
        {"name": "features", "data": [value for mail in mails for value in (len(mail), 1)]},
        {"name": "feature_names", "data": ["text_length", "parts"]},
        {"name": "feature_descriptions", "data": ["characters", "MIME parts"]},
    ]
    return outputs if quantiles is None else [*outputs, {"name": "feature_quantiles", "data": quantiles}]


def verdicts(mails: list[str]) -> dict[str, Any]:
    probabilities = [float(mail) for mail in mails]
    return {
        "model_version": "7",
        "parameters": {"model_sha256": SHA256, "threshold": THRESHOLD},
        "outputs": [
            {"name": "spam_probability", "data": probabilities},
            {"name": "prediction", "data": ["spam" if p >= THRESHOLD else "ham" for p in probabilities]},
        ],
    }


@pytest.fixture
async def transformer() -> AsyncIterator[FakeTransformer]:
    fake = FakeTransformer()
    fake.gate.set()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v2/models/spam-detector/infer", fake.infer)
    app.router.add_get("/v2/models/spam-detector/ready", fake.is_ready)
    async with TestServer(app, host="0.0.0.0") as server:
        fake.url = f"http://127.0.0.1:{server.port}"
        yield fake
        fake.gate.set()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def client(transformer: FakeTransformer, metrics: Metrics) -> AsyncIterator[TransformerClient]:
    replicas = Replicas(transformer.url)
    async with aiohttp.ClientSession() as session:
        yield TransformerClient("staging", replicas, "spam-detector", session, metrics.environments)


@pytest.fixture
def coalescer(client: TransformerClient, transformer: FakeTransformer) -> Coalescer:
    return make_coalescer(client, transformer)


def make_coalescer(
    client: TransformerClient,
    transformer: FakeTransformer,
    linger_seconds: float = 0,
    metrics: EnvironmentMetrics | None = None,
    **limits: object,
) -> Coalescer:
    defaults = {"max_batch_mails": 4, "max_batches_in_flight": 1, "max_queued_mails": 20, "deadline_seconds": 5}
    defaults |= {"max_bulk_mails": 4}
    settings = GatewaySettings(environments={"staging": transformer.url}, **(defaults | limits))  # type: ignore[arg-type]
    limits = replace(QueueLimits.of(settings), linger_seconds=linger_seconds)
    return Environment(client, limits, metrics or EnvironmentMetrics()).coalescer


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    """Return the value of a series, or 0 if there is none."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


def mail(p: float) -> Mail:
    return Mail(str(p), f"request-{p}")


@pytest.fixture
def line_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock by which lines are sampled, of a gateway that is made after it."""
    clock = Clock()
    monkeypatch.setattr("gateway.routing.early_refusals.perf_counter", clock)
    monkeypatch.setattr("gateway.http.access_log.SampledLines", lambda: SampledLines(clock))
    return clock


@pytest.fixture(autouse=True)
def lines_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest capture what goes to standard output past `sys.stdout`."""

    class Printed:
        def add(self, line: bytes) -> None:
            print(line.decode())

    monkeypatch.setattr("gateway.app.stdout", Printed)
