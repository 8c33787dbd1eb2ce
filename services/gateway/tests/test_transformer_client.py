from typing import NoReturn
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest
from aiohttp import web
from conftest import FakeTransformer, mail, sample, verdicts

from contract.headers import DEADLINE
from gateway.metrics import Metrics
from gateway.predictions.transformer_client import (
    ERROR_KINDS,
    BatchRefused,
    TransformerClient,
)
from gateway.problems import Problem
from inference import Replicas, open_session


class GaveUp(Replicas):
    """Replicas that are known to hang, so a request fails before its deadline."""

    async def ask(self, *_: object, **__: object) -> NoReturn:
        raise TimeoutError


async def problem(client: TransformerClient, timeout_seconds: float = 5) -> Problem:
    with pytest.raises(Problem) as raised:
        await client.infer([mail(0.5), mail(0.25)], "id", timeout_seconds)
    return raised.value


def answering(transformer: FakeTransformer, content: object, status: int = 200) -> None:
    async def fault(_: web.Request, __: list[str]) -> web.Response:
        if isinstance(content, bytes):
            return web.Response(body=content, status=status)
        return web.json_response(content, status=status)

    transformer.fault = fault


@pytest.mark.parametrize(
    "content",
    [
        b"garbage",
        b"[]",
        b"{}",
        b'{"outputs": []}',
        {**verdicts(["0.5"])},
        {**verdicts(["0.5", "0.25", "0.1"])},
        {"outputs": verdicts(["0.5", "0.25"])["outputs"]},
        {**verdicts(["0.5", "1.5"])},
        {**verdicts(["0.5", "-1"])},
        {**verdicts(["0.5", "0.25"]), "parameters": {"model_sha256": "ab\r\nSet-Cookie: x"}},
        {**verdicts(["0.5", "0.25"]), "parameters": {"threshold": 1.1}},
        b'{"model_version":"7","outputs":[{"name":"spam_probability","data":[NaN,0.5]},'
        b'{"name":"prediction","data":["ham","ham"]}]}',
        {**verdicts(["0.5", "0.25"]), "id": "another"},
        {**verdicts(["0.5", "0.25"]), "error": "but with status 200"},
        {**verdicts(["0.5", "0.25"]), "model_version": 7},
        {**verdicts(["0.5", "0.25"]), "more": "x" * 100_000},
        {**verdicts(["0.5", "0.25"]), "outputs": verdicts(["0.5", "0.25"])["outputs"] * 2},  # type: ignore[operator]
        orjson.dumps(verdicts(["0.5", "0.25"]))[:-10],
        orjson.dumps(verdicts(["0.5", "0.25"])).replace(b"0.25", b"null"),
        orjson.dumps(verdicts(["0.5", "0.25"])).replace(b"0.25", b"true"),
        orjson.dumps(verdicts(["0.5", "0.25"])).replace(b"0.25", b'"NaN"'),
        orjson.dumps(verdicts(["0.5", "0.25"])).replace(b"0.25", b"Infinity"),
        orjson.dumps(verdicts(["0.5", "0.25"])).replace(b'"ham"', b'"eggs"'),
        orjson.dumps(verdicts(["0.5", "0.25"])).replace(b'"prediction"', b'"verdict"'),
        b'{"model_version":"7","outputs":[{"name":"spam_probability","data":["a",0.5]},'
        b'{"name":"prediction","data":["ham","ham"]}]}',
    ],
)
async def test_nonsense_is_502(client: TransformerClient, transformer: FakeTransformer, content: object) -> None:
    answering(transformer, content)
    found = await problem(client)
    assert found.status == 502
    assert found.detail.startswith("staging: the transformer's answer makes no sense")
    assert len(found.detail) < 1000


@pytest.mark.parametrize(("status", "expected"), [(404, 503), (503, 503), (504, 504)])
async def test_upstream_states(
    client: TransformerClient, transformer: FakeTransformer, status: int, expected: int
) -> None:
    answering(transformer, {"error": "the predictor is asleep"}, status)
    found = await problem(client)
    assert found.status == expected
    assert "the predictor is asleep" in found.detail


@pytest.mark.parametrize("status", [400, 413, 500, 502])
async def test_other_refusals_may_be_one_mails_fault(
    client: TransformerClient, transformer: FakeTransformer, status: int
) -> None:
    answering(transformer, {"error": "cannot read"}, status)
    with pytest.raises(BatchRefused, match="cannot read"):
        await client.infer([mail(0.5)], "id", 5)


async def test_a_slow_transformer_is_504(client: TransformerClient, transformer: FakeTransformer) -> None:
    transformer.gate.clear()
    assert (await problem(client, timeout_seconds=0.05)).status == 504


async def test_failures_are_counted_by_the_kinds_that_counters_begin_with(
    client: TransformerClient, metrics: Metrics, transformer: FakeTransformer, unused_tcp_port: int
) -> None:
    def errors() -> dict[str, float]:
        (metric,) = metrics.environments.upstream_errors.collect()
        counted = [each for each in metric.samples if each.name.endswith("_total")]
        return {each.labels["kind"]: each.value for each in counted if each.labels["environment"] == "staging"}

    before = errors()
    answering(transformer, b"garbage")
    await problem(client)
    answering(transformer, {"error": "asleep"}, 503)
    await problem(client)
    transformer.gate.clear()
    await problem(client, timeout_seconds=0.05)
    async with aiohttp.ClientSession() as session:
        await problem(
            TransformerClient(
                "staging", Replicas(f"http://127.0.0.1:{unused_tcp_port}"), "x", session, metrics.environments
            )
        )
    grown = {kind for kind, value in errors().items() if value > before.get(kind, 0)}
    assert grown == set(ERROR_KINDS)


async def test_a_refused_connection_is_503_at_once(unused_tcp_port: int) -> None:
    async with aiohttp.ClientSession() as session:
        client = TransformerClient("staging", Replicas(f"http://127.0.0.1:{unused_tcp_port}"), "spam-detector", session)
        found = await problem(client)
        assert found.status == 503
        assert "staging: the transformer cannot be reached" in found.detail
        assert not await client.is_ready()


async def test_half_an_answer_is_503(client: TransformerClient, transformer: FakeTransformer) -> None:
    async def half(request: web.Request, _: list[str]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"model_version"')
        assert request.transport is not None
        request.transport.abort()
        return response

    transformer.fault = half
    assert (await problem(client)).status == 503


async def test_a_failed_replica_is_left_for_another_one(transformer: FakeTransformer, metrics: Metrics) -> None:
    port = urlsplit(transformer.url).port

    async def resolve(_: str) -> list[str]:
        return ["127.0.0.1", "::1"]  # nothing listens on the second

    async with aiohttp.ClientSession() as session:
        replicas = Replicas(f"http://spam.test:{port}", resolve)
        client = TransformerClient("staging", replicas, "spam-detector", session, metrics.environments)
        answers = [await client.infer([mail(0.5)], "batch", 5) for _ in range(20)]
        assert 1 <= sample(metrics, "gateway_upstream_retries_total", environment="staging") <= 3
    assert [answer.probabilities for answer in answers] == [[0.5]] * 20
    assert client.replicas == 2


async def fail(_: web.Request, __: list[str]) -> web.Response:
    return web.json_response({"error": "no"}, status=500)


async def test_the_transformer_is_told_how_long_it_has(client: TransformerClient, transformer: FakeTransformer) -> None:
    told: list[int] = []

    async def note(request: web.Request, _: list[str]) -> None:
        told.append(int(request.headers[DEADLINE]))

    transformer.fault = note
    await client.infer([mail(0.5)], "batch", 4)
    assert 3000 < told[0] <= 4000


async def test_when_everything_fails_no_batch_is_halved_for_ever(
    client: TransformerClient, transformer: FakeTransformer
) -> None:
    transformer.fault = fail
    kinds = []
    for _ in range(30):
        with pytest.raises((BatchRefused, Problem)) as raised:
            await client.infer([mail(0.5), mail(0.25)], "batch", 5)
        kinds.append(raised.type)
    assert kinds[:5] == [BatchRefused] * 5
    assert kinds[-2:] != [BatchRefused] * 2
    assert Problem in kinds


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("the predictor did not answer in time", "staging: the predictor did not answer in time"),
        ("KeyError: 'x'", "staging: the transformer answered 503: KeyError: 'x'"),
    ],
)
async def test_errors_name_the_hop(
    client: TransformerClient, transformer: FakeTransformer, said: str, expected: str
) -> None:
    answering(transformer, {"error": said}, 503)
    assert (await problem(client)).detail == expected


async def test_a_content_type_does_not_matter(client: TransformerClient, transformer: FakeTransformer) -> None:
    async def as_text(_: web.Request, mails: list[str]) -> web.Response:
        return web.json_response(verdicts(mails), content_type="text/html")

    transformer.fault = as_text
    assert (await client.infer([mail(0.5)], "batch", 5)).probabilities == [0.5]


async def test_a_timeout_says_how_long_the_answer_was_waited_for() -> None:
    async with open_session() as session:
        client = TransformerClient("staging", GaveUp("http://transformers.test"), "spam-detector", session)
        found = await problem(client, timeout_seconds=1_000_000)
    detail, _, seconds = found.detail.rpartition(" within ")
    assert (found.status, detail) == (504, "staging: the transformer did not answer")
    assert float(seconds.removesuffix(" s")) < 1_000_000
