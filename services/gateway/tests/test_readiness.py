import asyncio

import pytest
from clients import app_of, in_process
from conftest import FakeTransformer, mail
from waiting import until

from gateway.metrics import EnvironmentMetrics, Metrics
from gateway.predictions.readiness import Readiness
from gateway.predictions.transformer_client import TransformerClient
from gateway.problems import Problem


def gauge(metrics: Metrics, environment: str) -> float | None:
    return metrics.registry.get_sample_value("gateway_environment_ready", {"environment": environment})


class Client(TransformerClient):
    """Client of a transformer whose readiness the test sets."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: bool | Exception = True
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def is_ready(self) -> bool:
        self.asked += 1
        await self.may_answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_the_application_asks_by_itself_and_stops_when_it_ends(
    transformer: FakeTransformer, unused_tcp_port: int
) -> None:
    urls = {"asked-up": transformer.url, "asked-down": f"http://127.0.0.1:{unused_tcp_port}"}
    app = app_of(urls, default_environment="asked-up")
    async with app.router.lifespan_context(app):
        await until(lambda: gauge(app.metrics, "asked-up") is not None)
        assert (gauge(app.metrics, "asked-up"), gauge(app.metrics, "asked-down")) == (1, 0)
        assert "readiness" in {task.get_name() for task in asyncio.all_tasks()}
    assert "readiness" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_asking_for_readiness_is_seen_at_once(
    transformer: FakeTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.app.KEPT_SECONDS", 0.0)
    app = app_of({"probed": transformer.url}, default_environment="probed")
    async with app.router.lifespan_context(app), in_process(app) as client:
        await until(lambda: gauge(app.metrics, "probed") == 1)
        transformer.ready = False
        assert (await client.get("/ready")).status_code == 503
        assert gauge(app.metrics, "probed") == 0


async def test_a_flood_of_questions_is_one_look_behind_the_gateway(transformer: FakeTransformer) -> None:
    """Each probe once went through a transformer to its predictor, and a few thousand took both environments down."""
    app = app_of({"flooded": transformer.url}, default_environment="flooded")
    async with app.router.lifespan_context(app), in_process(app) as client:
        answers = await asyncio.gather(*(client.get("/ready") for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    assert transformer.probed == 1


async def test_who_goes_away_does_not_take_the_look_from_the_others() -> None:
    client = Client()
    client.may_answer.clear()
    readiness = Readiness({"asked": client}, EnvironmentMetrics())
    first, second = (asyncio.create_task(readiness.check()) for _ in range(2))
    await until(lambda: client.asked == 1)
    first.cancel()
    await asyncio.wait([first])
    client.may_answer.set()
    assert await second == {"asked": True}
    assert client.asked == 1


async def test_mail_that_hangs_makes_no_environment_unready(
    client: TransformerClient, transformer: FakeTransformer
) -> None:
    """The limits of mail once applied to readiness, which was wrong while mail was held up."""
    transformer.gate.clear()
    with pytest.raises(Problem):
        await client.infer([mail(0.5)], "batch", 0.05)
    hanging = asyncio.create_task(client.infer([mail(0.5)], "batch", 5))
    assert await client.is_ready()
    transformer.gate.set()
    await asyncio.wait([hanging])


async def test_the_gauge_follows_without_traffic_even_after_a_bug(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client()
    async with Readiness({"watched": client}, metrics.environments, kept_seconds=0).watched(seconds=0.001):
        await until(lambda: gauge(metrics, "watched") == 1)
        client.answer = ValueError("bug")
        await until(lambda: "readiness not checked" in caplog.text)
        client.answer = False
        await until(lambda: gauge(metrics, "watched") == 0)
    assert "readiness" not in {task.get_name() for task in asyncio.all_tasks()}, "it asks no more"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("", {}),
        ("trained on feature schema 0", {"reasons": {"probed": "trained on feature schema 0"}}),
        ("a\n\x1b[31m" + "b" * 600, {"reasons": {"probed": "a??[31m" + "b" * 493}}),
    ],
)
async def test_what_a_transformer_says_is_shown(
    transformer: FakeTransformer, monkeypatch: pytest.MonkeyPatch, said: str, shown: dict[str, object]
) -> None:
    monkeypatch.setattr("gateway.app.KEPT_SECONDS", 0.0)
    app = app_of({"probed": transformer.url}, default_environment="probed")
    async with app.router.lifespan_context(app), in_process(app) as client:
        transformer.ready, transformer.reason = False, said
        answer = await client.get("/ready")
        wanted = {"status": "unready", "environments": {"probed": "unreachable"}, **shown}
        assert (answer.status_code, answer.json()) == (503, wanted)
        transformer.ready, transformer.reason = True, ""
        assert (await client.get("/ready")).json() == {"status": "ready", "environments": {"probed": "ready"}}
