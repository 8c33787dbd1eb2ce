import asyncio

import pytest
from conftest import FakePredictor, hang

from features import extract
from kserving import Unavailable
from transformer.predictor_client import PredictorClient


@pytest.fixture(autouse=True)
def told(predictor: FakePredictor) -> None:
    predictor.may_say.set()


async def test_a_flood_of_probes_is_one_request_to_the_predictor(
    client: PredictorClient, predictor: FakePredictor
) -> None:
    """The SDK's client made a request for each probe, and its queue blocked the event loop for minutes."""
    assert set(await asyncio.gather(*(client.is_ready() for _ in range(1000)))) == {True}
    assert predictor.probed == 1


async def test_a_probe_that_goes_away_does_not_end_the_look_for_the_others(
    client: PredictorClient, predictor: FakePredictor
) -> None:
    predictor.may_say.clear()
    first, second = (asyncio.create_task(client.is_ready()) for _ in range(2))
    async with asyncio.timeout(5):
        while not predictor.probed:
            await asyncio.sleep(0.001)
    first.cancel()
    await asyncio.wait([first])
    predictor.may_say.set()
    assert await second
    assert predictor.probed == 1


async def test_what_was_found_is_looked_at_anew(
    nothing_is_kept: None, client: PredictorClient, predictor: FakePredictor
) -> None:
    assert await client.is_ready()
    predictor.ready = False
    assert not await client.is_ready()


async def test_a_predictor_that_says_nothing_is_not_ready(
    client: PredictorClient, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformer.predictor_client.READY_SECONDS", 0.05)
    predictor.may_say.clear()
    assert not await client.is_ready()
    predictor.may_say.set()


async def test_a_predictor_that_is_gone_is_not_ready(unused_tcp_port: int) -> None:
    assert not await PredictorClient(f"http://127.0.0.1:{unused_tcp_port}", "spam-detector", 1).is_ready()


async def test_mail_that_hangs_does_not_keep_a_probe_waiting(client: PredictorClient, predictor: FakePredictor) -> None:
    predictor.fault = hang
    with pytest.raises(Unavailable):
        await client.score([extract("hello")], "a")
    hanging = asyncio.create_task(client.score([extract("hello")], "b"))
    assert await client.is_ready()
    await asyncio.wait([hanging])
    assert isinstance(hanging.exception(), Unavailable)
