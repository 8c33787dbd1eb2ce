import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp import web
from clients import running
from conftest import SHA256, FakeTransformer, verdicts
from waiting import until

EXPLAIN = "/api/v1/explain"


@pytest.fixture
async def http(transformer: FakeTransformer, unused_tcp_port: int) -> AsyncIterator[httpx.AsyncClient]:
    environments = {"staging": transformer.url, "production": f"http://127.0.0.1:{unused_tcp_port}"}
    async with running(environments, max_mail_bytes=100, max_explains=2, deadline_seconds=0.5) as client:
        yield client


async def explain(http: httpx.AsyncClient, mail: str, environment: str = "staging") -> httpx.Response:
    return await http.post(EXPLAIN, json={"email_content": mail}, headers={"X-Environment": environment})


async def test_the_answer_is_predicts_with_the_features(http: httpx.AsyncClient) -> None:
    response = await explain(http, "0.75")
    body = response.json()
    found = body.pop("features")
    predicted = (await http.post("/api/v1/predict", json={"email_content": "0.75"})).json()
    assert {**body, "request_id": ""} == {**predicted, "request_id": ""}
    assert response.headers["x-model-sha256"] == SHA256
    assert found[0] == {
        "name": "text_length",
        "description": "characters",
        "value": 4,
        "baseline": {
            "all": {"p05": 0, "p25": 1, "p50": 2, "p75": 3, "p95": 4},
            "ham": {"p05": 5, "p25": 6, "p50": 7, "p75": 8, "p95": 9},
            "spam": {"p05": 10, "p25": 11, "p50": 12, "p75": 13, "p95": 14},
        },
    }
    assert (found[1]["name"], found[1]["baseline"]["all"]["p05"]) == ("parts", 15)


async def test_a_model_that_tells_no_quantiles_has_no_baseline(
    http: httpx.AsyncClient, transformer: FakeTransformer
) -> None:
    transformer.quantiles = None
    assert [each["baseline"] for each in (await explain(http, "0.75")).json()["features"]] == [None, None]


@pytest.mark.parametrize(
    ("mail", "environment", "status", "kind"),
    [
        ("0.5", "nowhere", 400, "unknown-environment"),
        ("0.5", "production", 503, "upstream-unavailable"),
        ("x" * 101, "staging", 413, "too-large"),
        (5, "staging", 422, "invalid-body"),
    ],
)
async def test_errors_are_those_of_predict(
    http: httpx.AsyncClient, mail: str, environment: str, status: int, kind: str
) -> None:
    response = await explain(http, mail, environment)
    assert (response.status_code, response.json()["type"]) == (status, f"urn:problem:{kind}")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (verdicts(["0.5"]), "too old to explain"),
        ({**verdicts(["0.5"]), "outputs": [{"name": "features", "data": [1]}]}, "makes no sense"),
    ],
)
async def test_answers_without_their_features_are_nonsense(
    http: httpx.AsyncClient, transformer: FakeTransformer, answer: object, why: str
) -> None:
    async def other(_: web.Request, __: list[str]) -> web.Response:
        return web.json_response(answer)

    transformer.fault = other
    response = await explain(http, "0.5")
    assert response.status_code == 502
    assert why in response.json()["detail"]


async def test_a_mail_that_is_refused_is_502(http: httpx.AsyncClient, transformer: FakeTransformer) -> None:
    async def refusal(_: web.Request, __: list[str]) -> web.Response:
        return web.json_response({"error": "cannot be read"}, status=400)

    transformer.fault = refusal
    response = await explain(http, "0.5")
    assert response.status_code == 502
    assert response.json()["detail"] == "staging: the transformer answered 400: cannot be read"


async def test_few_are_under_way_at_once_and_predict_goes_on(
    http: httpx.AsyncClient, transformer: FakeTransformer
) -> None:
    transformer.gate.clear()
    under_way = [asyncio.create_task(explain(http, "0.5")) for _ in range(2)]
    await transformer.wait_for_batches(2)
    refused = await explain(http, "0.5")
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:problem:overloaded")
    assert refused.headers["retry-after"] == "1"
    predicted = asyncio.create_task(http.post("/api/v1/predict", json={"email_content": "0.5"}))
    await transformer.wait_for_batches(3)
    transformer.gate.set()
    assert [(await each).status_code for each in [*under_way, predicted]] == [200, 200, 200]
    assert (await explain(http, "0.5")).status_code == 200, "room is given back"


async def test_the_deadline_holds_and_gives_room_back(http: httpx.AsyncClient, transformer: FakeTransformer) -> None:
    transformer.gate.clear()
    assert (await explain(http, "0.5")).status_code == 504
    assert (await explain(http, "0.5")).status_code == 503, "a lone replica that hangs is asked again when it is probed"
    transformer.gate.set()

    async def answered() -> bool:
        return (await explain(http, "0.5")).status_code == 200

    await until(answered)


async def test_explained_mails_are_counted_and_documented(http: httpx.AsyncClient) -> None:
    counter = 'gateway_predictions_total{environment="staging",prediction="spam"}'
    before = value((await http.get("/metrics")).text, counter)
    await explain(http, "0.75")
    assert value((await http.get("/metrics")).text, counter) == before + 1
    described = (await http.get("/openapi.json")).json()["paths"][EXPLAIN]["post"]
    assert {"200", "400", "413", "422", "502", "503", "504"} <= set(described["responses"])
    assert "features" in json.dumps(described) or "ExplainResponse" in json.dumps(described)


def value(metrics: str, counter: str) -> float:
    (found,) = [line for line in metrics.splitlines() if line.startswith(counter)]
    return float(found.removeprefix(counter))
