"""Readiness of a transformer whose predictor's model was trained on other features."""

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import web
from conftest import FakePredictor, hang
from prometheus_client import REGISTRY

import features
from features import extract
from kserving import Unavailable
from transformer.predictor_client import PredictorClient

FITS = {"threshold": 0.9, "feature_schema_version": features.SCHEMA_VERSION}
OTHER = FITS | {"feature_schema_version": "0"}
OTHER_SAID = f"the model was trained on feature schema 0, this transformer makes {features.SCHEMA_VERSION}"


@pytest.fixture(autouse=True)
def told(nothing_is_kept: None, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable caching, so that each probe asks the predictor."""
    predictor.may_say.set()
    monkeypatch.setattr("transformer.schema_check.TOLD_SECONDS", 0.0)


def metadata(*names: str) -> dict[str, Any]:
    tensors = [{"name": name, "datatype": "FP32", "shape": [-1, 1]} for name in names]
    return {"name": "spam-detector", "platform": "", "inputs": tensors, "outputs": []}


OURS = ("text", *features.NAMES)


async def test_a_model_of_another_schema_is_not_ready_and_says_which(
    client: PredictorClient, predictor: FakePredictor, caplog: pytest.LogCaptureFixture
) -> None:
    predictor.parameters = OTHER
    with caplog.at_level(logging.INFO, "transformer"):
        for _ in range(3):
            with pytest.raises(Unavailable, match=OTHER_SAID):
                await client.is_ready()
        assert REGISTRY.get_sample_value("transformer_model_fits") == 0
        predictor.parameters = FITS
        assert await client.is_ready() and await client.is_ready()
    assert REGISTRY.get_sample_value("transformer_model_fits") == 1
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"], "one line when it changes"
    assert OTHER_SAID in str(vars(caplog.records[0])["reason"])


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ((*OURS, "new_one"), f"the model also takes column new_one, this transformer makes {features.SCHEMA_VERSION}"),
        (OURS[:-1], f"the model takes no column {OURS[-1]}, this transformer makes {features.SCHEMA_VERSION}"),
        (("text", "links"), f"and {len(features.NAMES) - 6} more, this transformer makes {features.SCHEMA_VERSION}"),
        ((*OURS, "a\nb" * 100), r"also takes column a\?ba\?b"),
    ],
)
async def test_a_model_of_other_columns_is_not_ready_and_gets_no_mail(
    client: PredictorClient, predictor: FakePredictor, names: tuple[str, ...], why: str
) -> None:
    """Such a predictor refuses every mail, so its answers show no schema."""
    predictor.metadata = metadata(*names)
    with pytest.raises(Unavailable, match=why):
        await client.is_ready()
    assert predictor.bodies == []


@pytest.mark.parametrize(
    "said",
    [None, {}, [], {"inputs": None}, {"inputs": []}, {"inputs": ["text"]}, metadata("input-0"), metadata(*OURS)],
    ids=str,
)
@pytest.mark.parametrize("parameters", [{}, {"threshold": 0.9}, FITS])
async def test_a_predictor_that_tells_no_schema_or_ours_is_ready(
    client: PredictorClient, predictor: FakePredictor, said: Any, parameters: dict[str, Any]
) -> None:
    predictor.metadata, predictor.parameters = said, parameters
    assert await client.is_ready()


async def refuse(_: web.Request) -> web.Response:
    return web.json_response({"error": "no such input"}, status=400)


async def fail(_: web.Request) -> web.Response:
    return web.Response(status=500)


async def lie(_: web.Request) -> web.Response:
    return web.Response(text="[" * 1000)


@pytest.mark.parametrize("fault", [refuse, fail, lie, hang])
async def test_what_tells_nothing_leaves_readiness_as_the_predictor_says(
    client: PredictorClient, predictor: FakePredictor, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformer.schema_check.CHECK_SECONDS", 0.05)
    predictor.fault = fault
    assert await client.is_ready()
    predictor.ready = False
    assert not await client.is_ready()


async def test_a_schema_that_was_told_stays_until_another_is(client: PredictorClient, predictor: FakePredictor) -> None:
    predictor.parameters = OTHER
    with pytest.raises(Unavailable, match=OTHER_SAID):
        await client.is_ready()
    predictor.fault = fail
    with pytest.raises(Unavailable, match=OTHER_SAID):
        await client.is_ready()
    predictor.fault, predictor.parameters = None, FITS
    assert await client.is_ready()


async def test_beside_mail_no_mail_of_its_own_is_sent(
    client: PredictorClient, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformer.schema_check.TOLD_SECONDS", 600.0)
    await client.score([extract("hello")], "a")
    assert await client.is_ready()
    assert len(predictor.bodies) == 1


async def test_an_answer_to_mail_is_a_word_on_the_schema(
    client: PredictorClient, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformer.schema_check.TOLD_SECONDS", 600.0)
    assert await client.is_ready()
    predictor.parameters = OTHER
    with pytest.raises(Unavailable, match=OTHER_SAID):
        await client.score([extract("hello")], "a")
    with pytest.raises(Unavailable, match=OTHER_SAID):
        await client.is_ready()


async def test_a_flood_of_probes_is_one_short_mail(client: PredictorClient, predictor: FakePredictor) -> None:
    predictor.parameters = OTHER
    found = await asyncio.gather(*(client.is_ready() for _ in range(1000)), return_exceptions=True)
    assert {str(each) for each in found} == {str(found[0])} and isinstance(found[0], Unavailable)
    assert len(predictor.bodies) == 1
