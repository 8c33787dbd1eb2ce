import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from conftest import FakeTransformer, mail, verdicts

from gateway import metrics
from gateway.problems import Problem
from gateway.transformer_client import ERROR_KINDS, BatchRefused, TransformerClient, open_session
from replicas import Replicas


@contextmanager
def hanging(port: int) -> Iterator[int]:
    """A port of ::1 to which connections are not refused and not made: its queue of them is full."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", port))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket(socket.AF_INET6) for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        yield address[1]
        for each in waiting:
            each.close()


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
        b'{"model_version":"7","outputs":[{"name":"spam_probability","data":[NaN,0.5]},'
        b'{"name":"prediction","data":["ham","ham"]}]}',
        b'{"model_version":"7","outputs":[{"name":"spam_probability","data":["a",0.5]},'
        b'{"name":"prediction","data":["ham","ham"]}]}',
    ],
)
async def test_nonsense_is_502(client: TransformerClient, transformer: FakeTransformer, content: object) -> None:
    answering(transformer, content)
    found = await problem(client)
    assert found.status == 502
    assert "makes no sense" in found.detail


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
    client: TransformerClient, transformer: FakeTransformer, unused_tcp_port: int
) -> None:
    def errors() -> dict[str, float]:
        (metric,) = metrics.UPSTREAM_ERRORS.collect()
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
        await problem(TransformerClient("staging", Replicas(f"http://127.0.0.1:{unused_tcp_port}"), "x", session))
    grown = {kind for kind, value in errors().items() if value > before.get(kind, 0)}
    assert grown == set(ERROR_KINDS)


async def test_a_refused_connection_is_503_at_once(unused_tcp_port: int) -> None:
    async with aiohttp.ClientSession() as session:
        client = TransformerClient("staging", Replicas(f"http://127.0.0.1:{unused_tcp_port}"), "spam-detector", session)
        found = await problem(client)
        assert found.status == 503
        assert "staging: the transformer cannot be reached" in found.detail
        assert not await client.is_ready()


async def test_a_broken_connection_is_tried_again(client: TransformerClient, transformer: FakeTransformer) -> None:
    async def break_first(request: web.Request, _: list[str]) -> web.Response | None:
        if transformer.connections == 1:
            assert request.transport is not None
            request.transport.abort()
        return None

    transformer.fault = break_first
    answer = await client.infer([mail(0.5)], "id", 5)
    assert answer.probabilities == [0.5]
    assert len(transformer.batches) == 2


async def test_an_error_answer_is_not_tried_again(client: TransformerClient, transformer: FakeTransformer) -> None:
    answering(transformer, {"error": "no"}, 500)
    with pytest.raises(BatchRefused):
        await client.infer([mail(0.5)], "id", 5)
    assert len(transformer.batches) == 1


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


async def test_an_address_that_nobody_has_is_left_for_another_one(
    transformer: FakeTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a pod has gone: the connection is not refused, it hangs."""
    monkeypatch.setattr("gateway.transformer_client.CONNECT_SECONDS", 0.05)
    port = urlsplit(transformer.url).port

    async def resolve(_: str) -> list[str]:
        return ["127.0.0.1", "::1"]

    with hanging(port):
        async with open_session() as session:
            replicas = Replicas(f"http://spam.test:{port}", resolve)
            client = TransformerClient("staging", replicas, "spam-detector", session)
            answers = [await client.infer([mail(0.5)], "batch", 5) for _ in range(20)]
    assert [answer.probabilities for answer in answers] == [[0.5]] * 20


async def test_when_nobody_has_any_address_requests_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.transformer_client.CONNECT_SECONDS", 0.05)
    with hanging(0) as port:
        async with open_session() as session:
            client = TransformerClient("staging", Replicas(f"http://[::1]:{port}"), "spam-detector", session)
            found = [await problem(client) for _ in range(20)]
            assert not await client.is_ready()
    assert {each.status for each in found} == {503}
    assert all("no connection to the transformer" in each.detail for each in found)


async def test_a_failed_replica_is_left_for_another_one(transformer: FakeTransformer) -> None:
    port = urlsplit(transformer.url).port

    async def resolve(_: str) -> list[str]:
        return ["127.0.0.1", "::1"]  # nobody listens on the second

    async with aiohttp.ClientSession() as session:
        client = TransformerClient("staging", Replicas(f"http://spam.test:{port}", resolve), "spam-detector", session)
        retries = metrics.UPSTREAM_RETRIES.labels("staging")._value
        before = retries.get()
        answers = [await client.infer([mail(0.5)], "batch", 5) for _ in range(20)]
        assert 1 <= retries.get() - before <= 3
    assert [answer.probabilities for answer in answers] == [[0.5]] * 20
    assert client.replicas == 2
