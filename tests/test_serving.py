"""The API across the real processes."""

import asyncio
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conftest import System, terminate

PREDICT = "/api/v1/predict"
BATCH = "/api/v1/batch-predict"
MIB = 2**20


async def predict(
    http: aiohttp.ClientSession, system: System, mail: str, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.post(system.url + PREDICT, json={"email_content": mail}, headers=named) as response:
        return response.status, await response.json(content_type=None), dict(response.headers)


async def batch(http: aiohttp.ClientSession, system: System, mails: list[str]) -> tuple[int, dict[str, Any]]:
    async with http.post(system.url + BATCH, json={"emails": mails}) as response:
        return response.status, await response.json(content_type=None)


async def get(http: aiohttp.ClientSession, system: System, path: str) -> tuple[int, str]:
    async with http.get(system.url + path) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("environment", [None, "staging", "production"])
async def test_each_environment_answers(
    http: aiohttp.ClientSession, shared: System, mails: list[str], environment: str | None
) -> None:
    headers = {"X_Environment": environment} if environment else {}
    status, answer, _ = await predict(http, shared, mails[0], **headers)
    assert status == 200
    assert answer["environment"] == (environment or "staging")
    assert answer["prediction"] == "ham"
    assert answer.keys() == {"prediction", "spam_probability", "environment", "model_version", "request_id"}


async def test_raw_spam_and_ham_of_the_corpus_are_told_apart(
    http: aiohttp.ClientSession, shared: System, corpus: Path
) -> None:
    for kind, expected in (("spam", "spam"), ("easy-ham", "ham")):
        paths = sorted(corpus.glob(f"{kind}-1/*.txt"))[:50]
        answers = [await predict(http, shared, path.read_bytes().decode("latin-1")) for path in paths]
        right = sum(answer["prediction"] == expected for _, answer, _ in answers)
        assert right >= 45, f"{right} of 50 {kind} mails are called {expected}"


async def test_a_batch_equals_single_answers_in_order(
    http: aiohttp.ClientSession, shared: System, mails: list[str]
) -> None:
    status, answer = await batch(http, shared, mails)
    assert (status, answer["count"]) == (200, len(mails))
    singles = await asyncio.gather(*(predict(http, shared, mail) for mail in mails))
    for one, (_, single, _) in zip(answer["predictions"], singles, strict=True):
        assert one["spam_probability"] == pytest.approx(single["spam_probability"], abs=1e-6)
        assert one["prediction"] == single["prediction"]


async def test_a_thousand_mails_are_one_batch_and_one_more_is_refused(
    http: aiohttp.ClientSession, shared: System, mails: list[str]
) -> None:
    many = [mails[i % 100][:500] for i in range(1001)]
    status, answer = await batch(http, shared, many[:1000])
    assert (status, len(answer["predictions"])) == (200, 1000)
    assert answer["predictions"][:100] == answer["predictions"][900:]
    assert (await batch(http, shared, many))[0] == 422
    assert (await batch(http, shared, []))[0] == 422


async def test_probes_metrics_and_documentation(http: aiohttp.ClientSession, shared: System) -> None:
    await predict(http, shared, "hello")
    assert (await get(http, shared, "/health"))[0] == 200
    status, ready = await get(http, shared, "/ready")
    assert (status, json.loads(ready)["environments"]) == (200, {"staging": "ready", "production": "ready"})
    assert 'gateway_batch_mails_count{environment="staging"}' in (await get(http, shared, "/metrics"))[1]
    assert "swagger" in (await get(http, shared, "/docs"))[1]
    assert PREDICT in json.loads((await get(http, shared, "/openapi.json"))[1])["paths"]


async def test_an_unknown_environment_names_the_known_ones(http: aiohttp.ClientSession, shared: System) -> None:
    status, problem, headers = await predict(http, shared, "hello", X_Environment="test")
    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert "staging, production" in problem["detail"]


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"email_content": 1}', '{"email_content": "a", "b": 1}'])
async def test_wrong_bodies_are_422(http: aiohttp.ClientSession, shared: System, body: str) -> None:
    async with http.post(shared.url + PREDICT, data=body) as response:
        assert response.status == 422
        assert response.content_type == "application/problem+json"


async def test_large_mails_are_413(http: aiohttp.ClientSession, shared: System) -> None:
    assert (await predict(http, shared, "x" * MIB))[0] == 200
    assert (await predict(http, shared, "x" * (MIB + 1)))[0] == 413
    assert (await batch(http, shared, ["x", "ü" * (MIB // 2 + 1)]))[0] == 413


@pytest.mark.parametrize("path", [PREDICT, BATCH])
def test_a_large_body_is_refused_before_it_is_sent(shared: System, path: str) -> None:
    """The body is announced and never sent: an answer means that nobody waited for it."""
    host, port = shared.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {100 * MIB}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("path", [PREDICT, BATCH])
def test_an_endless_body_is_cut_off(shared: System, path: str) -> None:
    host, port = shared.url.removeprefix("http://").split(":")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    sent = 0
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with pytest.raises(OSError, match="reset|Broken pipe|timed out"):
            while sent < 200 * MIB:
                connection.sendall(chunk)
                sent += 65536
    assert 16 * MIB <= sent < 100 * MIB


HOSTILE = [
    "\udce9\ud800 lone surrogates",
    "\0" * 1000,
    "<" * 900_000,
    "Content-Type: multipart/mixed; boundary=a\n\n" + "--a\nContent-Type: multipart/mixed; boundary=a\n\n" * 5000,
    "Subject: " + "=?utf-8?q?" * 20_000,
    "Content-Type: text/plain; charset=unicode_escape\nContent-Transfer-Encoding: base64\n\n" + "A" * 500_000,
]


async def test_hostile_mails_change_nobody_elses_answer(
    http: aiohttp.ClientSession, shared: System, mails: list[str]
) -> None:
    expected = [(await predict(http, shared, mail))[1]["spam_probability"] for mail in mails[:64]]
    for hostile in HOSTILE:
        *answers, odd = await asyncio.gather(*(predict(http, shared, mail) for mail in [*mails[:64], hostile]))
        assert odd[0] == 200
        assert [answer["spam_probability"] for _, answer, _ in answers] == pytest.approx(expected, abs=1e-6)


async def test_clients_that_go_away_disturb_nobody(
    http: aiohttp.ClientSession, shared: System, mails: list[str]
) -> None:
    leaving = [asyncio.create_task(predict(http, shared, mail)) for mail in mails[:32]]
    staying = [asyncio.create_task(predict(http, shared, mail)) for mail in mails[:32]]
    await asyncio.sleep(0.005)
    for task in leaving:
        task.cancel()
    assert {status for status, _, _ in await asyncio.gather(*staying)} == {200}
    await asyncio.gather(*leaving, return_exceptions=True)
    assert (await predict(http, shared, mails[0]))[0] == 200


async def test_request_ids_are_taken_made_and_returned(http: aiohttp.ClientSession, shared: System) -> None:
    _, answer, headers = await predict(http, shared, "hello", X_Request_ID="order-66")
    assert (answer["request_id"], headers["X-Request-ID"]) == ("order-66", "order-66")
    _, answer, headers = await predict(http, shared, "hello")
    assert re.fullmatch("[0-9a-f]{32}", answer["request_id"])
    assert headers["X-Request-ID"] == answer["request_id"]
    assert (await predict(http, shared, "hello", X_Request_ID="two words"))[0] == 400


async def test_concurrent_requests_share_batches_and_lone_ones_do_not(
    http: aiohttp.ClientSession, shared: System, mails: list[str]
) -> None:
    before = await batches(http, shared)
    for mail in mails[:5]:
        await predict(http, shared, mail)
    lone = await batches(http, shared)
    assert lone - before == 5
    await asyncio.gather(*(predict(http, shared, mail) for mail in mails[:64]))
    assert await batches(http, shared) - lone < 32


async def batches(http: aiohttp.ClientSession, system: System) -> int:
    text = (await get(http, system, "/metrics"))[1]
    found = re.search(r'gateway_batch_mails_count\{environment="staging"\} ([0-9.]+)', text)
    return int(float(found[1])) if found else 0


async def test_a_dead_environment_leaves_the_other_alone(
    http: aiohttp.ClientSession, own: System, mails: list[str]
) -> None:
    own.kill("ps")
    status, problem, headers = await predict(http, own, mails[0])
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "predictor" in problem["detail"]
    own.kill("ts")
    started = time.monotonic()
    status, problem, _ = await predict(http, own, mails[0])
    assert (status, problem["type"]) == (503, "urn:problem:upstream-unavailable")
    assert time.monotonic() - started < 2
    assert (await predict(http, own, mails[0], X_Environment="production"))[0] == 200
    status, ready = await get(http, own, "/ready")
    assert (status, json.loads(ready)["environments"]) == (200, {"staging": "unreachable", "production": "ready"})
    own.kill("pp", "tp")
    assert (await get(http, own, "/ready"))[0] == 503


async def test_requests_under_way_are_finished_at_sigterm(own: System, mails: list[str]) -> None:
    """With connections of its own, since those are closed as the gateway goes."""
    async with aiohttp.ClientSession() as http:
        under_way = asyncio.create_task(batch(http, own, mails * 4))
        while not await outstanding(http, own):
            assert not under_way.done()
        terminate(own.processes["gateway"])
        status, answer = await under_way
    assert (status, answer["count"]) == (200, len(mails) * 4)
    assert own.processes["gateway"].wait(10) in (0, -15)


async def outstanding(http: aiohttp.ClientSession, system: System) -> float:
    text = (await get(http, system, "/metrics"))[1]
    return sum(
        float(value) for value in re.findall(r"^gateway_(?:queued_mails|mails_in_flight)\{.*\} (.*)$", text, re.M)
    )
