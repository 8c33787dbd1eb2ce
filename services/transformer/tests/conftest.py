"""Fake predictor and fixtures: the real one cannot be made to hang, lie or break off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import features
from inferencelog import Rows, ShadowChunk, ShadowRows, Writer, open_shadow, open_store, read_shadow, read_window
from transformer.model import FeatureTransformer
from transformer.predictor_client import PredictorClient

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
TIMEOUT_SECONDS = 2.0
SHA256 = "ab" * 32
PARAMETERS = {"threshold": 0.9, "feature_schema_version": features.SCHEMA_VERSION, "model_sha256": SHA256}


@dataclass
class FakePredictor:
    """Fake predictor that answers 0.95 for mails with the word "money", else 0.05; `fault` may answer in its place."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    fault: Fault | None = None
    parameters: dict[str, Any] = field(default_factory=lambda: dict(PARAMETERS))
    ready: bool = True
    probed: int = 0
    may_say: asyncio.Event = field(default_factory=asyncio.Event)
    metadata: dict[str, Any] | None = None

    async def is_ready(self, _: web.Request) -> web.Response:
        self.probed += 1
        await self.may_say.wait()
        return web.Response(status=200 if self.ready else 503)

    async def describe(self, _: web.Request) -> web.Response:
        return web.json_response(self.metadata, status=404 if self.metadata is None else 200)

    async def infer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(orjson.loads(await request.read()))
        self.headers.append(dict(request.headers))
        if self.fault and (answer := await self.fault(request)):
            return answer
        return web.json_response({**self.answer(scores(self.bodies[-1])), "id": self.bodies[-1]["id"]})

    def answer(self, spam: Sequence[float]) -> dict[str, Any]:
        data = [p for score in spam for p in (1 - score, score)]
        output = {"name": "any", "datatype": "FP64", "shape": [len(spam), 2], "data": data}
        return {"model_version": "7", "parameters": self.parameters, "outputs": [output]}


def scores(body: dict[str, Any]) -> list[float]:
    (text,) = (tensor for tensor in body["inputs"] if tensor["name"] == "text")
    return [0.95 if "money" in words.split() else 0.05 for words in text["data"]]


@dataclass
class LogOnDisk:
    """Real inference log on disk, and readers of its rows."""

    writer: Writer[Rows]
    shadow_writer: Writer[ShadowRows]
    folder: Path

    def rows(self) -> list[dict[str, Any]]:
        self.writer.close(10)
        now = datetime.now(UTC)
        window = read_window(open_store(str(self.folder)), "test", now - timedelta(hours=1), now + timedelta(hours=1))
        return window.table.to_pylist()  # type: ignore[no-any-return]

    def shadow_rows(self) -> list[dict[str, Any]]:
        self.shadow_writer.close(10)
        now = datetime.now(UTC)
        hour = timedelta(hours=1)
        window = read_shadow(open_shadow(str(self.folder)), "test", now - hour, now + hour)
        return window.table.to_pylist()  # type: ignore[no-any-return]


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a client that is made after it look at the predictor for each probe."""
    monkeypatch.setattr("transformer.predictor_client.READY_KEPT_SECONDS", 0.0)


@pytest.fixture
async def client(predictor: FakePredictor) -> AsyncIterator[PredictorClient]:
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v2/models/spam-detector/infer", predictor.infer)
    app.router.add_get("/v2/models/spam-detector/ready", predictor.is_ready)
    app.router.add_get("/v2/models/spam-detector", predictor.describe)
    async with TestServer(app) as server:
        found = PredictorClient(str(server.make_url("/")), "spam-detector", TIMEOUT_SECONDS)
        yield found
        await found.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogOnDisk]:
    writer = Writer(open_store(str(tmp_path)), "test")
    shadow_writer = Writer(open_shadow(str(tmp_path)), "test", buffer=ShadowChunk)
    yield LogOnDisk(writer, shadow_writer, tmp_path)
    writer.close(10)
    shadow_writer.close(10)


@pytest.fixture
def model(client: PredictorClient, log: LogOnDisk) -> FeatureTransformer:
    return FeatureTransformer("spam-detector", client, log.writer, shadow_log=log.shadow_writer)


async def hang(_: web.Request) -> None:
    # The scenario: a predictor that does not answer in time.
    await asyncio.sleep(5)
