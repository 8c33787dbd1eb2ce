"""API keys at the application: which requests are admitted, and what the others are told."""

import asyncio
import hmac
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from clients import Lines, lines_until, running
from conftest import FakeTransformer
from starlette.requests import Request
from waiting import until

from gateway.access.api_keys import ApiKeysError, digest_of, new_key, read_keys
from gateway.access.callers import Access, Caller
from gateway.http.request_record import RequestRecord
from gateway.metrics import KeyMetrics
from gateway.problems import Problem
from runtime import stdout

PREDICT, BATCH = "/api/v1/predict", "/api/v1/batch-predict"
SHOP, MILL = new_key(), new_key()
ENTRIES = {
    "shop": {"sha256": digest_of(SHOP).hex(), "environments": ["staging"]},
    "mill": {"sha256": digest_of(MILL).hex(), "environments": ["staging", "production"]},
}


def put(path: Path, **entries: dict[str, Any]) -> None:
    """Replace the file, as the kubelet does."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"keys": [{"name": name, **entry} for name, entry in entries.items()]}))
    new.rename(path)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    put(path, **ENTRIES)
    return path


@asynccontextmanager
async def gateway(transformer: FakeTransformer, keys: Path | None) -> AsyncIterator[httpx.AsyncClient]:
    environments = {"staging": transformer.url, "production": transformer.url}
    async with running(environments, max_body_bytes=1000, api_keys_file=keys) as client:
        yield client


@pytest.fixture
async def http(transformer: FakeTransformer, keys: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(transformer, keys) as client:
        yield client


def body(path: str, mails: int = 1) -> dict[str, Any]:
    return {"email_content": "0.5"} if path == PREDICT else {"emails": ["0.5"] * mails}


async def ask(http: httpx.AsyncClient, path: str, mails: int = 1, **headers: Any) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.post(path, json=body(path, mails), headers=named)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


each_path = pytest.mark.parametrize("path", [PREDICT, BATCH])


@each_path
@pytest.mark.parametrize("headers", [bearer(SHOP), {"authorization": f"bearer  {SHOP}"}, {"X-API-Key": SHOP}])
async def test_a_key_lets_in(http: httpx.AsyncClient, path: str, headers: dict[str, str]) -> None:
    assert (await ask(http, path, **headers)).status_code == 200


@each_path
@pytest.mark.parametrize(
    ("headers", "detail", "challenge"),
    [
        ({}, "an API key is needed", "Bearer"),
        (bearer(new_key()), "the API key is not known here", 'Bearer error="invalid_token"'),
        (bearer(SHOP[:-1]), "the API key is not known here", 'Bearer error="invalid_token"'),
        (bearer(""), "the API key is not known here", 'Bearer error="invalid_token"'),
        ({"X-API-Key": "ü".encode()}, "the API key is not known here", 'Bearer error="invalid_token"'),
        ({"X-API-Key": ENTRIES["shop"]["sha256"]}, "the API key is not known here", 'Bearer error="invalid_token"'),
        ({"Authorization": "Basic c2hvcDpzaG9w"}, "Authorization has another scheme than Bearer", "Bearer"),
        ({**bearer(SHOP), "X-API-Key": MILL}, "more than one API key was sent", "Bearer"),
    ],
)
async def test_without_a_known_key_it_is_401(
    http: httpx.AsyncClient,
    transformer: FakeTransformer,
    path: str,
    headers: dict[str, Any],
    detail: str,
    challenge: str,
) -> None:
    response = await ask(http, path, **headers)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, challenge)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == "urn:problem:unauthorized"
    assert problem["detail"] == f"{detail}; send `Authorization: Bearer KEY` or `X-API-Key: KEY`"
    assert transformer.batches == []


@each_path
async def test_strangers_are_not_told_which_environments_there_are(http: httpx.AsyncClient, path: str) -> None:
    response = await ask(http, path, X_Environment="nowhere")
    assert response.status_code == 401
    assert "staging" not in response.text
    assert (await ask(http, path, X_Environment="nowhere", **bearer(SHOP))).status_code == 400


@each_path
async def test_a_key_may_be_barred_from_production(
    http: httpx.AsyncClient, transformer: FakeTransformer, path: str
) -> None:
    response = await ask(http, path, X_Environment="production", **bearer(SHOP))
    assert response.status_code == 403
    assert response.json()["type"] == "urn:problem:forbidden-environment"
    assert response.json()["allowed_environments"] == ["staging"]
    assert response.json()["detail"] == "key shop may not ask production; set X-Environment to one of: staging"
    assert transformer.batches == []
    assert (await ask(http, path, X_Environment="production", **bearer(MILL))).status_code == 200


@each_path
async def test_a_body_is_not_read_for_those_who_may_not_ask(http: httpx.AsyncClient, path: str) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b" " * 100

    assert (await http.post(path, content=endless())).status_code == 401
    production = {"X-Environment": "production", **bearer(SHOP)}
    assert (await http.post(path, content=endless(), headers=production)).status_code == 403
    assert read == 0
    assert (await http.post(path, content=endless(), headers=bearer(SHOP))).status_code == 413
    assert read > 0


@each_path
async def test_over_its_rate_a_key_is_429_and_others_are_not(
    transformer: FakeTransformer, keys: Path, path: str
) -> None:
    put(keys, shop={**ENTRIES["shop"], "mails_per_second": 0.01, "burst": 2}, mill=ENTRIES["mill"])
    async with gateway(transformer, keys) as http:
        answers = [await ask(http, path, **bearer(SHOP)) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].json()["type"] == "urn:problem:rate-limited"
        assert 90 < int(answers[2].headers["retry-after"]) <= 100
        assert "key shop may send 0.01 mails a second; try again in " in answers[2].json()["detail"]
        assert (await ask(http, path, **bearer(MILL))).status_code == 200


async def test_a_batch_costs_as_many_mails_as_it_has(transformer: FakeTransformer, keys: Path) -> None:
    put(keys, shop={**ENTRIES["shop"], "mails_per_second": 0.1, "burst": 3})
    async with gateway(transformer, keys) as http:
        assert (await ask(http, BATCH, 13, **bearer(SHOP))).status_code == 200
        response = await ask(http, PREDICT, **bearer(SHOP))
        assert response.status_code == 429
        # The key is ten mails in debt and needs one more, at one in ten seconds.
        assert 100 < int(response.headers["retry-after"]) <= 110


@pytest.mark.parametrize("path", [PREDICT, BATCH, "/api/v1/explain"])
@pytest.mark.parametrize(("content", "status"), [(b'{"more": ""}', 422), (b'{"email_content": "0.5"}', 200)])
async def test_a_large_body_costs_as_many_mails_as_it_is_large_also_when_it_is_refused(
    transformer: FakeTransformer,
    keys: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    content: bytes,
    status: int,
) -> None:
    monkeypatch.setattr("gateway.routing.api.BYTES_OF_A_MAIL", 100)
    put(keys, shop={**ENTRIES["shop"], "mails_per_second": 0.1, "burst": 3})
    if path == BATCH:
        content = content.replace(b'"email_content": "0.5"', b'"emails": ["0.5", "0.5"]')
    async with gateway(transformer, keys) as http:
        answer = await http.post(path, content=content.ljust(995), headers=bearer(SHOP))
        assert answer.status_code == status
        response = await ask(http, PREDICT, **bearer(SHOP))
        assert response.status_code == 429
        # The body takes ten mails of a burst of three, and one must be left: eight more, at one in ten seconds.
        assert 70 < int(response.headers["retry-after"]) <= 80


async def test_a_body_of_many_mails_costs_no_more_than_they_do(
    transformer: FakeTransformer, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.routing.api.BYTES_OF_A_MAIL", 50)
    put(keys, shop={**ENTRIES["shop"], "mails_per_second": 0.1, "burst": 20})
    async with gateway(transformer, keys) as http:
        assert (await ask(http, BATCH, 19, **bearer(SHOP))).status_code == 200
        assert (await ask(http, PREDICT, **bearer(SHOP))).status_code == 200
        assert (await ask(http, PREDICT, **bearer(SHOP))).status_code == 429


async def test_batches_side_by_side_do_not_get_round_the_rate(transformer: FakeTransformer, keys: Path) -> None:
    put(keys, shop={**ENTRIES["shop"], "mails_per_second": 0.1, "burst": 3})
    waiting = asyncio.Event()
    begun: list[str] = []

    async def slow() -> AsyncIterator[bytes]:
        begun.append("read")
        yield b'{"emails": ["0.5", "0.5", "0.5", "0.5", "0.5"'
        await waiting.wait()
        yield b"]}"

    async with gateway(transformer, keys) as http:
        asked = [asyncio.create_task(http.post(BATCH, content=slow(), headers=bearer(SHOP))) for _ in range(3)]
        await until(lambda: len(begun) == len(asked))
        waiting.set()
        assert sorted([(await each).status_code for each in asked]) == [200, 429, 429]


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/docs", "/openapi.json"])
async def test_probes_metrics_and_documents_are_open(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 200


async def test_digests_are_compared_in_constant_time_whether_known_or_not(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((len(a), b))
        return compare(a, b)

    compare = hmac.compare_digest
    monkeypatch.setattr("gateway.access.callers.hmac.compare_digest", watched)
    for key in (SHOP, "wrong"):
        await ask(http, PREDICT, **bearer(key))
    assert compared == [(32, digest_of(SHOP)), (32, digest_of("wrong"))]


async def test_logs_and_metrics_have_names_and_never_keys(
    http: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (await http.get("/metrics")).text
    wrong = new_key()
    sent = [(SHOP, "staging"), (SHOP, "production"), (MILL, "production"), (wrong, "staging")]
    for key, environment in sent:
        await ask(http, PREDICT, X_Environment=environment, **bearer(key))
    after = (await http.get("/metrics")).text
    grown = {
        (key, outcome): counted(after, key, outcome) - counted(before, key, outcome)
        for key, outcome in (("shop", "taken"), ("shop", "forbidden"), ("mill", "taken"), ("", "unauthorized"))
    }
    assert set(grown.values()) == {1}, grown

    def answers(lines: Lines) -> Lines:
        return [line for line in lines if line.get("path") == PREDICT]

    lines = await lines_until(capsys, lambda lines: len(answers(lines)) == len(sent))
    assert [(line.get("key"), line["status"]) for line in answers(lines)] == [
        ("shop", 200),
        ("shop", 403),
        ("mill", 200),
        (None, 401),
    ]
    assert not [key for key in (SHOP, MILL, wrong) if key in json.dumps(lines) + after]


def counted(text: str, key: str, outcome: str) -> float:
    name = f'gateway_api_key_requests_total{{key="{key}",outcome="{outcome}"}}'
    (value,) = [line.split()[-1] for line in text.splitlines() if line.startswith(name)]
    return float(value)


async def test_openapi_says_how_to_send_a_key_only_where_one_is_needed(
    transformer: FakeTransformer, keys: Path
) -> None:
    for given in (keys, None):
        async with gateway(transformer, given) as http:
            document = (await http.get("/openapi.json")).json()
        schemes = document["components"].get("securitySchemes", {})
        operation = document["paths"][PREDICT]["post"]
        assert {name for each in operation.get("security", []) for name in each} == set(schemes)
        assert len(schemes) == (2 if given else 0)
        assert ({"401", "403", "429"} <= operation["responses"].keys()) == bool(given)


async def test_without_a_file_keys_are_not_looked_at(transformer: FakeTransformer) -> None:
    async with gateway(transformer, None) as http:
        assert (await ask(http, PREDICT, X_Environment="production")).status_code == 200
        assert (await ask(http, PREDICT, **bearer("wrong"))).status_code == 200


def test_an_environment_that_the_gateway_does_not_know_is_refused(keys: Path) -> None:
    with pytest.raises(ApiKeysError, match="key mill: environments: 'production' is not known; known: staging"):
        Access(keys, ["staging"], KeyMetrics())


async def accepted(http: httpx.AsyncClient, key: str) -> bool:
    return (await ask(http, PREDICT, **bearer(key))).status_code == 200


async def test_a_changed_file_is_taken_while_running(http: httpx.AsyncClient, keys: Path) -> None:
    new = new_key()
    put(keys, next={"sha256": digest_of(new).hex(), "environments": ["staging"]})
    await until(lambda: accepted(http, new))
    assert not await accepted(http, SHOP)


async def test_a_wrong_file_is_refused_once_and_the_keys_before_stay(
    keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    access = Access(keys, ["staging", "production"], KeyMetrics())
    put(keys, shop={**ENTRIES["shop"], "environments": ["prod"]})
    for _ in range(3):
        access.refresh()
    (record,) = caplog.records
    assert (record.levelname, record.message) == ("ERROR", "API keys refused, those before stay")
    assert "key shop: environments: 'prod' is not known" in record.reason  # type: ignore[attr-defined]
    assert names(access) == {"shop", "mill"}
    keys.unlink()
    for _ in range(3):
        access.refresh()
    assert "cannot be read: No such file" in caplog.records[1].reason  # type: ignore[attr-defined]
    put(keys, mill=ENTRIES["mill"])
    access.refresh()
    assert (len(caplog.records), names(access)) == (2, {"mill"})


def test_a_secret_that_is_swapped_as_the_kubelet_does_is_seen(tmp_path: Path) -> None:
    for version, name in (("..v1", "shop"), ("..v2", "mill")):
        (tmp_path / version).mkdir()
        put(tmp_path / version / "keys.json", **{name: ENTRIES["mill"]})
        # Same size and, for the file system, same age: only the inode differs.
        os.utime(tmp_path / version / "keys.json", (1, 1))
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "keys.json").symlink_to("..data/keys.json")
    access = Access(tmp_path / "keys.json", ["staging", "production"], KeyMetrics())
    (tmp_path / "..new").symlink_to("..v2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    access.refresh()
    assert names(access) == {"mill"}


def caller_of(access: Access, key: str) -> Caller | None:
    """Return the caller that has a key, or None if the key is not known."""
    scope = {"type": "http", "headers": [(b"x-api-key", key.encode())]}
    RequestRecord("id").begin(scope)
    try:
        return access.caller(Request(scope))
    except Problem:
        return None


def names(access: Access) -> set[str]:
    """Return which of the shop and the mill are known."""
    callers = [caller_of(access, key) for key in (SHOP, MILL)]
    return {caller.key.name for caller in callers if caller}


def test_a_changed_file_forgives_no_debt_unless_the_rate_is_another(keys: Path) -> None:
    slow = {**ENTRIES["shop"], "mails_per_second": 0.01, "burst": 1}
    put(keys, shop=slow)
    access = Access(keys, ["staging", "production"], KeyMetrics())
    shop(access).enter("staging")
    put(keys, shop={**slow, "environments": ["production"]})
    access.refresh()
    with pytest.raises(Problem, match="shop") as refused:
        shop(access).enter("production")
    assert refused.value.status == 429
    put(keys, shop={**slow, "burst": 2})
    access.refresh()
    shop(access).enter("staging")


def shop(access: Access) -> Caller:
    caller = caller_of(access, SHOP)
    assert caller
    return caller


LEAK = new_key()
LEAKS = [
    f"/{LEAK}",
    f"/api/v1/predict/{LEAK}?key={LEAK}",
    f"/x/msk%5F{LEAK[4:]}",
    f"/%6dsk_{LEAK[4:]}/y",
    f"/{'a' * 190}{LEAK}",
]


async def logged() -> None:
    """Wait until all lines are written."""
    assert await asyncio.to_thread(stdout().flush, 5)


@pytest.mark.parametrize("path", LEAKS)
async def test_a_key_in_a_path_is_never_logged(
    http: httpx.AsyncClient, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await http.get(path)
    assert answer.status_code == 404 and LEAK not in answer.text
    await logged()
    assert LEAK[4:12] not in capfd.readouterr().out


@pytest.mark.parametrize("name", ["X-Environment", "X-Request-ID", "Content-Encoding", "X-Canary-Key", "traceparent"])
async def test_a_key_in_another_header_is_neither_logged_nor_repeated(
    http: httpx.AsyncClient, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await http.post(PREDICT, json=body(PREDICT), headers={**bearer(SHOP), name: LEAK})
    await logged()
    assert LEAK not in answer.text + capfd.readouterr().out
    if name == "X-Request-ID":
        assert answer.status_code == 400 and "holds an API key; send another id" in answer.json()["detail"]


async def test_a_file_of_ten_thousand_keys_is_read_beside_the_event_loop(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> Any:
        reading.set()
        assert go_on.wait(30)
        return read_keys(*arguments)

    many = {f"k{n}": {"sha256": digest_of(f"k{n}").hex(), "environments": ["staging"]} for n in range(10_000)}
    access = Access(keys, ["staging", "production"], KeyMetrics())
    monkeypatch.setattr("gateway.access.callers.read_keys", slowly)
    async with access.watched(0.01):
        put(keys, **many)
        assert await asyncio.to_thread(reading.wait, 30)
        assert names(access) == {"shop", "mill"}, "the keys before hold while the others are read"
        go_on.set()
        await until(lambda: caller_of(access, "k9999"), seconds=30)
    assert (caller_of(access, SHOP), caller_of(access, MILL)) == (None, None)
