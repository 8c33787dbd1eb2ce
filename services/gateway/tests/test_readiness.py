import asyncio
from collections.abc import Callable

import httpx
import pytest
from conftest import FakeTransformer
from prometheus_client import REGISTRY

from gateway.app import create_app
from gateway.readiness import Readiness
from gateway.settings import Settings
from gateway.transformer_client import TransformerClient


def gauge(environment: str) -> float | None:
    return REGISTRY.get_sample_value("gateway_environment_ready", {"environment": environment})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


class Client(TransformerClient):
    """A transformer whose readiness is as it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: bool | Exception = True

    async def is_ready(self) -> bool:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_the_application_asks_by_itself_and_stops_when_it_ends(
    transformer: FakeTransformer, unused_tcp_port: int
) -> None:
    urls = {"asked-up": transformer.url, "asked-down": f"http://127.0.0.1:{unused_tcp_port}"}
    app = create_app(Settings(environments=urls, default_environment="asked-up"))  # type: ignore[arg-type]
    async with app.router.lifespan_context(app):
        await until(lambda: gauge("asked-up") is not None)
        assert (gauge("asked-up"), gauge("asked-down")) == (1, 0)
        assert "readiness" in {task.get_name() for task in asyncio.all_tasks()}
    assert "readiness" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_asking_for_readiness_is_seen_at_once(transformer: FakeTransformer) -> None:
    app = create_app(Settings(environments={"probed": transformer.url}, default_environment="probed"))  # type: ignore[dict-item]
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://gw") as client:
        await until(lambda: gauge("probed") == 1)
        transformer.ready = False
        assert (await client.get("/ready")).status_code == 503
        assert gauge("probed") == 0


async def test_the_gauge_follows_without_traffic_even_after_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    async with Readiness({"watched": client}).watched(seconds=0.001):
        await until(lambda: gauge("watched") == 1)
        client.answer = ValueError("bug")
        await until(lambda: "readiness not checked" in caplog.text)
        client.answer = False
        await until(lambda: gauge("watched") == 0)
    asked = client.asked
    await asyncio.sleep(0.02)
    assert client.asked == asked
