"""Tests of the API across the real processes."""

import asyncio
import json
import re
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conftest import System, by_folder, texts_of

PREDICT = "/api/v1/predict"
BATCH = "/api/v1/batch-predict"
MIB = 2**20
SECONDS = 30


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
    http: aiohttp.ClientSession, shared: System, mails: list[str], model: Path, environment: str | None
) -> None:
    headers = {"X_Environment": environment} if environment else {}
    status, answer, _ = await predict(http, shared, mails[0], **headers)
    assert status == 200
    assert answer["environment"] == (environment or "staging")
    assert answer["prediction"] == "ham"
    assert answer["threshold"] == json.loads((model / "model.json").read_text())["threshold"]
    assert answer.keys() == {
        "prediction",
        "spam_probability",
        "threshold",
        "environment",
        "model_version",
        "request_id",
    }


async def test_raw_spam_and_ham_of_the_corpus_are_told_apart(
    http: aiohttp.ClientSession, shared: System, corpus: Path
) -> None:
    for (folder, spam), group in by_folder(corpus).items():
        if folder.name.startswith("hard"):
            continue
        expected = "spam" if spam else "ham"
        _, answer = await batch(http, shared, texts_of(group[:100]))
        right = sum(verdict["prediction"] == expected for verdict in answer["predictions"])
        assert right >= 0.9 * answer["count"], f"{right} of {answer['count']} in {folder.name} are called {expected}"


async def test_a_batch_of_a_thousand_equals_single_answers_in_order(
    http: aiohttp.ClientSession, shared: System, mails: list[str]
) -> None:
    status, answer = await batch(http, shared, mails)
    assert (status, answer["count"]) == (200, len(mails))
    singles = await asyncio.gather(*(predict(http, shared, mail) for mail in mails))
    expected = [single["spam_probability"] for _, single, _ in singles]
    assert [one["spam_probability"] for one in answer["predictions"]] == pytest.approx(expected, abs=1e-6)
    assert [one["prediction"] for one in answer["predictions"]] == [single["prediction"] for _, single, _ in singles]
    assert len(set(expected)) > 0.5 * len(expected), "answers that are all the same have no order"


@pytest.mark.parametrize(("count", "expected"), [(0, 422), (1, 200), (1000, 200), (1001, 422)])
async def test_a_batch_has_a_thousand_mails_at_most(
    http: aiohttp.ClientSession, shared: System, count: int, expected: int
) -> None:
    status, answer = await batch(http, shared, ["hello"] * count)
    assert status == expected
    assert "emails" in answer["detail"] if status == 422 else len(answer["predictions"]) == count


async def test_probes_metrics_and_documentation(http: aiohttp.ClientSession, shared: System) -> None:
    await predict(http, shared, "hello")
    assert (await get(http, shared, "/health"))[0] == 200
    status, ready = await get(http, shared, "/ready")
    assert (status, json.loads(ready)["environments"]) == (200, {"staging": "ready", "production": "ready"})
    assert 'gateway_batch_mails_count{environment="staging"}' in (await get(http, shared, "/metrics"))[1]
    assert "docs/swagger-ui-bundle.js" in (await get(http, shared, "/docs"))[1]
    assert (await get(http, shared, "/redoc"))[0] == 404
    assert PREDICT in json.loads((await get(http, shared, "/openapi.json"))[1])["paths"]


async def test_an_unknown_environment_names_the_known_ones(http: aiohttp.ClientSession, shared: System) -> None:
    status, problem, headers = await predict(http, shared, "hello", X_Environment="test")
    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert "staging, production" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *((PREDICT, body) for body in ("", "{", "[]", "{}", '{"email_content": 1}', '{"email_content": null}')),
        (PREDICT, '{"email_content": "a", "more": 1}'),
        (BATCH, '{"emails": "a"}'),
        (BATCH, '{"emails": ["a", 1]}'),
        (BATCH, '{"emails": ["a"], "more": 1}'),
    ],
)
async def test_wrong_bodies_are_422(http: aiohttp.ClientSession, shared: System, path: str, body: str) -> None:
    async with http.post(shared.url + path, data=body) as response:
        assert response.status == 422
        assert response.content_type == "application/problem+json"
        assert (await response.json())["errors"]


async def test_large_mails_are_413(http: aiohttp.ClientSession, shared: System) -> None:
    assert (await predict(http, shared, "x" * MIB))[0] == 200
    assert (await predict(http, shared, "x" * (MIB + 1)))[0] == 413
    assert (await batch(http, shared, ["x", "ü" * (MIB // 2 + 1)]))[0] == 413


@pytest.mark.parametrize("path", [PREDICT, BATCH])
def test_a_large_body_is_refused_before_it_is_sent(shared: System, path: str) -> None:
    """The body is announced and never sent, so an answer means that the gateway did not wait for it."""
    with socket.create_connection(shared.address, timeout=5) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {100 * MIB}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


CHUNK = b"10000\r\n" + b" " * 65536 + b"\r\n"


@pytest.mark.parametrize("path", [PREDICT, BATCH])
async def test_a_body_without_a_length_is_413_as_soon_as_it_is_too_large(shared: System, path: str) -> None:
    """The body neither ends nor goes on, so an answer means that the gateway did not wait for more."""
    reader, writer = await open_chunked(shared, path)
    writer.writelines([CHUNK] * (16 * MIB // 65536))
    writer.write(b"1\r\n \r\n")
    async with asyncio.timeout(SECONDS):
        assert (await reader.read(100)).startswith(b"HTTP/1.1 413 ")
    writer.close()


@pytest.mark.parametrize("path", [PREDICT, BATCH])
async def test_an_endless_body_is_refused_and_cut_off(shared: System, path: str) -> None:
    """The client can read the reason although it keeps sending for as long as it may."""
    reader, writer = await open_chunked(shared, path)
    answered = asyncio.create_task(reader.readline())
    async with asyncio.timeout(SECONDS):
        sent = 0
        while not answered.done():
            sent += await send_chunk(writer)
        assert (await answered).startswith(b"HTTP/1.1 413 ")
        assert 16 * MIB <= sent < 40 * MIB
        with pytest.raises(ConnectionError):
            while True:
                await send_chunk(writer)
    writer.close()


async def send_chunk(writer: asyncio.StreamWriter) -> int:
    """Send a piece of a body, and return its size."""
    writer.write(CHUNK)
    await writer.drain()
    return 65536


async def open_chunked(system: System, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*system.address)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    return reader, writer


HOSTILE = [
    "\udce9\ud800 lone surrogates",
    "\0" * 1000,
    "\0" * MIB,
    "Content-Type: text/html\n\n" + "<a href=" * 100_000,
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


@pytest.mark.parametrize("part", [0.5, 1.0], ids=["half of the request", "all of the request"])
async def test_clients_that_go_away_disturb_nobody(
    http: aiohttp.ClientSession, shared: System, mails: list[str], part: float
) -> None:
    expected = [(await predict(http, shared, mail))[1]["spam_probability"] for mail in mails[:32]]
    staying = [asyncio.create_task(predict(http, shared, mail)) for mail in mails[:32]]
    await asyncio.gather(*(send_and_leave(shared, mail, part) for mail in mails[:32]))
    answers = await asyncio.gather(*staying)
    assert [answer["spam_probability"] for _, answer, _ in answers] == pytest.approx(expected, abs=1e-6)

    async def nothing_is_left() -> bool:
        return await outstanding(http, shared) == 0

    await until(nothing_is_left)


async def send_and_leave(system: System, mail: str, part: float) -> None:
    body = json.dumps({"email_content": mail}).encode()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    _, writer = await asyncio.open_connection(*system.address)
    writer.write(head + body[: int(len(body) * part)])
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await holds():
            await asyncio.sleep(0.01)


async def test_request_ids_are_taken_made_and_returned(http: aiohttp.ClientSession, shared: System) -> None:
    _, answer, headers = await predict(http, shared, "hello", X_Request_ID="order-66")
    assert (answer["request_id"], headers["X-Request-ID"]) == ("order-66", "order-66")
    _, answer, headers = await predict(http, shared, "hello")
    assert re.fullmatch("[0-9a-f]{32}", answer["request_id"])
    assert headers["X-Request-ID"] == answer["request_id"]


@pytest.mark.parametrize("request_id", ["two words", "x" * 129, ""])
async def test_malformed_request_ids_are_refused(http: aiohttp.ClientSession, shared: System, request_id: str) -> None:
    status, problem, headers = await predict(http, shared, "hello", X_Request_ID=request_id)
    assert (status, problem["type"]) == (400, "urn:problem:invalid-request-id")
    assert headers["X-Request-ID"] == problem["request_id"] != request_id


async def test_every_request_has_one_line_of_log_with_its_id(http: aiohttp.ClientSession, shared: System) -> None:
    await predict(http, shared, "hello", X_Request_ID="logged-1", X_Environment="production")

    async def logged() -> bool:
        return any(line.get("request_id") == "logged-1" for line in shared.log("gateway"))

    await until(logged)
    (line,) = [line for line in shared.log("gateway") if line.get("request_id") == "logged-1"]
    assert (line["status"], line["environment"], line["path"]) == (200, "production", PREDICT)


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


async def test_a_dead_environment_leaves_the_other_alone_and_comes_back(
    http: aiohttp.ClientSession, own: System, mails: list[str]
) -> None:
    own.kill("ps")
    status, problem, headers = await predict(http, own, mails[0], X_Request_ID="dead-1")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "predictor" in problem["detail"]

    async def logged() -> bool:
        return any(line.get("request_id") == "dead-1" for line in own.log("ts"))

    await until(logged)  # the id is passed on to each hop's log
    await found(http, own, 200, staging="unreachable", production="ready")
    own.kill("ts")
    started = time.monotonic()
    status, problem, headers = await predict(http, own, mails[0])
    assert (status, problem["type"]) == (503, "urn:problem:upstream-unavailable")
    assert (headers["Retry-After"], headers["Content-Type"]) == ("1", "application/problem+json")
    assert time.monotonic() - started < 5, "at once, and not at the deadline of 10 s"
    assert (await predict(http, own, mails[0], X_Environment="production"))[0] == 200
    await found(http, own, 200, staging="unreachable", production="ready")
    own.start("ps")
    own.start("ts")

    async def back() -> bool:
        return (await environments(http, own))[1]["staging"] == "ready"

    await until(back)
    assert (await predict(http, own, mails[0]))[0] == 200
    own.kill("ps", "ts", "pp", "tp")
    await found(http, own, 503, staging="unreachable", production="unreachable")


async def found(http: aiohttp.ClientSession, system: System, status: int, **states: str) -> None:
    """Wait until /ready says so; each hop caches its findings for a second."""

    async def is_found() -> bool:
        return await environments(http, system) == (status, states)

    await until(is_found)


async def environments(http: aiohttp.ClientSession, system: System) -> tuple[int, dict[str, str]]:
    status, ready = await get(http, system, "/ready")
    return status, json.loads(ready)["environments"]


async def test_requests_under_way_are_finished_at_sigterm(own: System, mails: list[str]) -> None:
    """The test uses its own connections, because they are closed as the gateway goes.

    It holds the transformer until everything is in progress. Otherwise all might be answered before anybody looks.
    """
    own.processes["ts"].send_signal(signal.SIGSTOP)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        under_way = [asyncio.create_task(batch(http, own, mails)) for _ in range(2)]
        under_way += [asyncio.create_task(single(http, own, mail)) for mail in mails[:64]]

        async def begun() -> bool:
            return await outstanding(http, own) >= 2 * len(mails)

        await until(begun)
        own.terminate("gateway")
        own.processes["ts"].send_signal(signal.SIGCONT)
        answers = await asyncio.gather(*under_way)
    assert {status for status, _ in answers} == {200}
    assert [answer["count"] for _, answer in answers[:2]] == [len(mails)] * 2
    for name in ("gateway", "ts", "tp", "ps", "pp"):
        own.terminate(name)
        assert own.processes[name].wait(SECONDS) in (0, -signal.SIGTERM)
        assert {line["level"] for line in own.log(name)} == {"INFO"}, "nothing to complain of, one JSON object a line"


async def single(http: aiohttp.ClientSession, system: System, mail: str) -> tuple[int, dict[str, Any]]:
    status, answer, _ = await predict(http, system, mail)
    return status, answer


async def outstanding(http: aiohttp.ClientSession, system: System) -> float:
    text = (await get(http, system, "/metrics"))[1]
    return sum(
        float(value) for value in re.findall(r"^gateway_(?:queued_mails|mails_in_flight)\{.*\} (.*)$", text, re.M)
    )
