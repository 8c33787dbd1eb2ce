import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from clients import Lines, app_of, in_process, lines_until
from conftest import FakeTransformer
from fastapi import FastAPI
from waiting import Clock

from gateway.access.api_keys import digest_of
from gateway.app import GatewayApp

PREDICT = "/api/v1/predict"
PAGES = ("/", "/docs", "/docs/swagger-ui-bundle.js", "/openapi.json", "/page.js", "/icon.svg")


@pytest.fixture
async def app(transformer: FakeTransformer, tmp_path: Path) -> AsyncIterator[GatewayApp]:
    keys = tmp_path / "keys.json"
    entries = [
        {"name": name, "sha256": digest_of(name).hex(), "environments": environments}
        for name, environments in {"all": ["staging", "production"], "barred": ["staging"]}.items()
    ]
    keys.write_text(json.dumps({"keys": entries}))
    urls = {"staging": transformer.url, "production": transformer.url}
    app = app_of(urls, api_keys_file=keys)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def http(app: GatewayApp) -> AsyncIterator[httpx.AsyncClient]:
    async with in_process(app) as client:
        yield client


@pytest.fixture(autouse=True)
def no_bug(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check that nothing failed after its answer was sent."""
    yield
    assert not [record.message for record in caplog.records if record.levelname == "ERROR"]


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the paths of requests that reach the framework."""
    found: list[str] = []
    framework: Callable[..., Awaitable[None]] = FastAPI.__call__

    async def counting(self: FastAPI, scope: Any, receive: Any, send: Any) -> None:
        found.append(f"{scope['method']} {scope['path']}")
        await framework(self, scope, receive, send)

    monkeypatch.setattr(FastAPI, "__call__", counting)
    return found


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_made_once_and_answered_alike(entered: list[str], http: httpx.AsyncClient, path: str) -> None:
    first, *others = [await http.get(path, headers={"X-Request-ID": "same"}) for _ in range(5)]
    assert first.status_code == 200
    assert {(each.status_code, each.content, str(each.headers)) for each in others} == {
        (200, first.content, str(first.headers))
    }
    assert entered == [f"GET {path}"]


async def test_a_page_that_the_client_has_is_not_sent_again(http: httpx.AsyncClient) -> None:
    for _ in range(3):
        etag = (await http.get("/page.js")).headers["etag"]
        for named in (etag, f'"other", {etag}', f"W/{etag}"):
            again = await http.get("/page.js", headers={"If-None-Match": named})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert (await http.get("/page.js", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_who_has_the_page_already_when_it_is_first_asked_for_spoils_nothing(http: httpx.AsyncClient) -> None:
    etag = (await http.get("/page.css")).headers["etag"]
    assert (await http.get("/page.js", headers={"If-None-Match": etag})).status_code == 200
    assert (await http.get("/page.js")).content


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_probes_and_metrics_never_enter_the_framework(
    entered: list[str], http: httpx.AsyncClient, path: str
) -> None:
    assert [(await http.get(path)).status_code for _ in range(3)] == [200] * 3
    assert entered == []


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nowhere", 404, None),
        ("POST", "/nowhere/at/all", 404, None),
        ("GET", "/api/v1", 404, None),
        ("GET", f"{PREDICT}/", 404, None),
        ("GET", PREDICT, 405, {"POST"}),
        ("DELETE", "/api/v1/explain", 405, {"POST"}),
        ("POST", "/ready", 405, {"GET"}),
        ("PUT", "/", 405, {"GET", "HEAD"}),
    ],
)
async def test_what_there_is_not_is_told_alike_each_time_and_for_little(
    entered: list[str], http: httpx.AsyncClient, method: str, path: str, status: int, allow: set[str] | None
) -> None:
    answers = [await http.request(method, path, headers={"X-Request-ID": "same"}) for _ in range(4)]
    assert {(each.status_code, each.content) for each in answers} == {(status, answers[0].content)}
    assert {each.headers["content-type"] for each in answers} == {"application/problem+json"}
    assert answers[0].json()["request_id"] == "same"
    for answer in answers:
        assert (set(answer.headers["allow"].split(", ")) if allow else None) == allow
    assert len(entered) <= 1


REFUSED = {
    "401": (401, {}),
    "401 unknown": (401, {"X-API-Key": "nobody"}),
    "403": (403, {"X-API-Key": "barred", "X-Environment": "production"}),
    "400": (400, {"X-API-Key": "all", "X-Environment": "nowhere"}),
    "400 id": (400, {"X-Request-ID": "a b"}),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("path", ["predict", "batch-predict", "explain"])
async def test_a_flood_of_refusals_is_counted_whole_and_logged_in_part(
    http: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], kind: str, path: str
) -> None:
    status, headers = REFUSED[kind]
    await asyncio.sleep(0)
    before = await counted(http, status)
    capsys.readouterr()
    answers = await asyncio.gather(*(http.post(f"/api/v1/{path}", headers=headers) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {status}
    assert await counted(http, status) - before == 200
    lines = await logged(http, capsys)
    seconds = sum(line["duration_ms"] for line in lines)
    assert 1 <= len(lines) < 20, seconds
    assert sum(line.get("refused_before", 0) for line in lines) + len(lines) <= 200


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), (PREDICT, 405), ("/docs", 200)])
async def test_what_the_framework_does_not_see_is_counted_as_it_would(
    http: httpx.AsyncClient, path: str, status: int
) -> None:
    before = await counted(http, status)
    for _ in range(5):
        await http.get(path)
    assert await counted(http, status) - before == 5


async def test_pages_are_logged_in_part_too(
    line_clock: Clock, http: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    await asyncio.gather(*(http.get("/docs") for _ in range(200)))
    line_clock.now += 1
    await http.get("/docs")
    assert [line.get("answered_before", 0) for line in await logged(http, capsys)] == [0, 199]


async def test_lines_left_out_are_told_by_the_next(
    line_clock: Clock, http: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    await asyncio.gather(*(http.get("/nowhere") for _ in range(50)))
    line_clock.now += 1
    await http.get("/nowhere")
    assert [line.get("refused_before", 0) for line in await logged(http, capsys)] == [0, 49]


async def test_each_mail_that_is_answered_has_its_line(
    http: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = [http.post(PREDICT, json={"email_content": "0.5"}, headers={"X-API-Key": "all"}) for _ in range(30)]
    assert {answer.status_code for answer in await asyncio.gather(*sent)} == {200}
    assert len(await logged(http, capsys)) == 30


async def test_explain_is_refused_unread_where_there_is_no_room(
    http: httpx.AsyncClient, transformer: FakeTransformer
) -> None:
    transformer.gate.clear()
    headers = {"X-API-Key": "all"}
    body = {"email_content": "0.5"}
    full = [asyncio.create_task(http.post("/api/v1/explain", json=body, headers=headers)) for _ in range(8)]
    await transformer.wait_for_batches(8)
    read = False

    async def unread() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{"

    answer = await http.post("/api/v1/explain", content=unread(), headers=headers)
    assert (answer.status_code, answer.json()["type"], read) == (503, "urn:problem:overloaded", False)
    transformer.gate.set()
    assert {each.status_code for each in await asyncio.gather(*full)} == {200}


async def counted(http: httpx.AsyncClient, status: int) -> float:
    text = (await http.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("http_request_duration_seconds_count{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if f'status="{status}"' in line)


async def logged(http: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]) -> Lines:
    """Return the lines before that of a mail, which always has one."""
    headers = {"X-API-Key": "all", "X-Request-ID": "last"}
    assert (await http.post(PREDICT, json={"email_content": "0.5"}, headers=headers)).status_code == 200
    lines = await lines_until(capsys, lambda lines: any(line.get("request_id") == "last" for line in lines))
    return [line for line in lines if line["logger"] == "gateway.access" and line["request_id"] != "last"]


async def test_a_probe_does_not_wait_behind_a_flood_from_another_address(app: GatewayApp) -> None:
    async def asked(address: str) -> str:
        async with in_process(app, address) as client:
            assert (await client.get("/health")).status_code == 200
        answered.append(address)
        return address

    answered: list[str] = []
    flood = [asyncio.create_task(asked("192.0.2.1")) for _ in range(200)]
    await asyncio.sleep(0)
    assert await asked("192.0.2.2") == "192.0.2.2"
    assert len(answered) < 100
    await asyncio.gather(*flood)
