import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web
from bombs import MANY, ONE
from clients import Lines, lines_until, running
from conftest import SHA256, THRESHOLD, FakeTransformer, explanation, verdicts

PREDICT = "/api/v1/predict"
BODIES = {
    PREDICT: {"email_content": "0.75"},
    "/api/v1/explain": {"email_content": "0.75"},
    "/api/v1/batch-predict": {"emails": ["0.75", "0.25"]},
}


@pytest.fixture
async def http(transformer: FakeTransformer, unused_tcp_port: int) -> AsyncIterator[httpx.AsyncClient]:
    environments = {"staging": transformer.url, "production": f"http://127.0.0.1:{unused_tcp_port}"}
    async with running(environments, max_mail_bytes=100, max_body_bytes=1000) as client:
        yield client


async def test_predict_answers_as_documented(http: httpx.AsyncClient) -> None:
    response = await http.post(PREDICT, json={"email_content": "0.75"}, headers={"X-Request-ID": "r-1"})
    assert response.json() == {
        "prediction": "spam",
        "spam_probability": 0.75,
        "threshold": THRESHOLD,
        "environment": "staging",
        "model_version": "7",
        "request_id": "r-1",
    }
    assert response.headers["x-request-id"] == "r-1"
    assert response.headers["x-model-sha256"] == SHA256


async def test_batch_predict_answers_as_documented(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/v1/batch-predict", json={"emails": ["0.75", "0.25"]})
    body = response.json()
    assert body.pop("request_id") == response.headers["x-request-id"]
    assert response.headers["x-model-sha256"] == SHA256
    assert body == {
        "predictions": [
            {"prediction": "spam", "spam_probability": 0.75},
            {"prediction": "ham", "spam_probability": 0.25},
        ],
        "count": 2,
        "threshold": THRESHOLD,
        "environment": "staging",
        "model_version": "7",
    }


@pytest.mark.parametrize("parameters", [None, {}, {"model_sha256": SHA256}, {"threshold": None}])
async def test_an_older_transformer_is_answered_for_with_a_threshold_of_null(
    http: httpx.AsyncClient, transformer: FakeTransformer, parameters: object
) -> None:
    async def older(_: web.Request, mails: list[str]) -> web.Response:
        answer = {**verdicts(mails), "parameters": parameters}
        answer["outputs"] += explanation(mails, None)
        return web.json_response(answer)

    transformer.fault = older
    for path, body in BODIES.items():
        response = await http.post(path, json=body)
        assert (response.status_code, response.json()["threshold"]) == (200, None), path


@pytest.mark.parametrize("threshold", [0, 0.948, 1])
async def test_every_answer_says_the_threshold_of_its_model(
    http: httpx.AsyncClient, transformer: FakeTransformer, threshold: float
) -> None:
    async def answer(_: web.Request, mails: list[str]) -> web.Response:
        found = {**verdicts(mails), "parameters": {"threshold": threshold}}
        found["outputs"] += explanation(mails, None)
        return web.json_response(found)

    transformer.fault = answer
    for path, body in BODIES.items():
        assert (await http.post(path, json=body)).json()["threshold"] == threshold, path


async def test_mails_of_a_batch_that_others_judged_say_their_own_threshold(transformer: FakeTransformer) -> None:
    async def changing(_: web.Request, mails: list[str]) -> web.Response:
        found = verdicts(mails)
        if mails == ["0.6"]:
            found["parameters"] = {"threshold": 0.9}
            found["outputs"][1]["data"] = ["ham"]
        return web.json_response(found)

    transformer.fault = changing
    async with running({"staging": transformer.url}, max_bulk_mails=2, max_batch_mails=2) as client:
        body = (await client.post("/api/v1/batch-predict", json={"emails": ["0.75", "0.25", "0.6"]})).json()
    assert body["threshold"] == THRESHOLD
    assert body["predictions"] == [
        {"prediction": "spam", "spam_probability": 0.75},
        {"prediction": "ham", "spam_probability": 0.25},
        {"prediction": "ham", "spam_probability": 0.6, "threshold": 0.9},
    ]


async def test_the_threshold_is_a_metric_by_environment_and_model(
    http: httpx.AsyncClient, transformer: FakeTransformer
) -> None:
    answers: list[dict[str, Any]] = []

    async def answer(_: web.Request, mails: list[str]) -> web.Response:
        return web.json_response({**verdicts(mails), **answers[-1]})

    transformer.fault = answer
    for version, threshold in (("7", 0.5), ("8", 0.9), ("8", 0.8), ("8", None)):
        answers.append({"model_version": version, "parameters": {"threshold": threshold}})
        await http.post(PREDICT, json={"email_content": "0.75"})
        page = (await http.get("/metrics")).text
        shown = [line for line in page.splitlines() if line.startswith("gateway_spam_threshold{")]
        labels = f'environment="staging",model_version="{version}"'
        assert shown == ([] if threshold is None else [f"gateway_spam_threshold{{{labels}}} {threshold}"])


async def test_an_unknown_environment_names_the_known_ones(http: httpx.AsyncClient) -> None:
    response = await http.post(PREDICT, json={"email_content": "0.5"}, headers={"X-Environment": "Production"})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["known_environments"] == ["staging", "production"]


async def test_a_dead_environment_is_503_with_retry_after_and_the_other_answers(http: httpx.AsyncClient) -> None:
    response = await http.post(PREDICT, json={"email_content": "0.5"}, headers={"X-Environment": "production"})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert (await http.post(PREDICT, json={"email_content": "0.5"})).status_code == 200
    ready = await http.get("/ready")
    assert ready.json() == {"status": "ready", "environments": {"staging": "ready", "production": "unreachable"}}


async def test_limits_are_413(http: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    mail = await http.post(PREDICT, json={"email_content": "x" * 101})
    assert (mail.status_code, mail.json()["limit_bytes"]) == (413, 100)
    body = await http.post(PREDICT, content=endless())
    assert (body.status_code, body.json()["limit_bytes"]) == (413, 1000)
    assert body.headers["connection"] == "close"


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 129, "ü".encode()])
async def test_malformed_request_ids_are_refused(http: httpx.AsyncClient, request_id: str | bytes) -> None:
    response = await http.post(PREDICT, json={"email_content": "0.5"}, headers={"X-Request-ID": request_id})
    assert response.status_code == 400
    assert response.json()["type"] == "urn:problem:invalid-request-id"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", PREDICT, 405)])
async def test_the_frameworks_errors_are_problems_too(
    http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await http.request(method, path)
    assert (response.status_code, response.json()["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"


async def test_every_request_is_counted_and_logged_once(
    http: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = _requests("staging", PREDICT, 200)
    before = _value((await http.get("/metrics")).text, counter)
    await http.post(PREDICT, json={"email_content": "0.5"}, headers={"X-Request-ID": "seen"})
    assert _value((await http.get("/metrics")).text, counter) == before + 1
    await _flushed(capsys, http)


async def line_of(capsys: pytest.CaptureFixture[str], request_id: str) -> dict[str, Any]:
    def of(lines: Lines) -> Lines:
        return [line for line in lines if line.get("request_id") == request_id]

    (line,) = of(await lines_until(capsys, of))
    return line


async def _flushed(capsys: pytest.CaptureFixture[str], http: httpx.AsyncClient) -> None:
    line = await line_of(capsys, "seen")
    assert (line["status"], line["environment"], line["path"]) == (200, "staging", PREDICT)


def _requests(environment: str, path: str, status: int) -> str:
    labels = f'environment="{environment}",handler="{path}",method="POST",status="{status}"'
    return f"http_request_duration_seconds_count{{{labels}}}"


@pytest.mark.parametrize(("path", "field"), [("predict", "email_content"), ("batch-predict", "emails")])
@pytest.mark.parametrize(
    ("environment", "mail", "status", "counted"),
    [
        ("staging", "0.5", 200, "staging"),
        ("staging", 5, 422, "staging"),
        ("production", "0.5", 503, "production"),
        ("nowhere", "0.5", 400, ""),
    ],
)
async def test_requests_are_counted_by_the_environment_that_they_were_for(
    http: httpx.AsyncClient, path: str, field: str, environment: str, mail: object, status: int, counted: str
) -> None:
    path = f"/api/v1/{path}"
    counter = _requests(counted, path, status)
    before = _value((await http.get("/metrics")).text, counter)
    body = {field: mail if field == "email_content" else [mail]}
    assert (await http.post(path, json=body, headers={"X-Environment": environment})).status_code == status
    assert _value((await http.get("/metrics")).text, counter) == before + 1


async def test_verdicts_and_scores_are_counted(http: httpx.AsyncClient) -> None:
    names = [
        'gateway_predictions_total{environment="staging",prediction="spam"}',
        'gateway_predictions_total{environment="staging",prediction="ham"}',
        'gateway_spam_probability_bucket{environment="staging",le="0.3"}',
        'gateway_spam_probability_count{environment="staging"}',
    ]
    before = (await http.get("/metrics")).text
    await http.post("/api/v1/predict", json={"email_content": "0.25"})
    await http.post("/api/v1/batch-predict", json={"emails": ["0.75", "0.95"]})
    after = (await http.get("/metrics")).text
    assert [_value(after, name) - _value(before, name) for name in names] == [2, 1, 1, 3]


async def test_counters_are_there_before_what_they_count(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with running({"untouched": url}, default_environment="untouched") as client:
        lines = (await client.get("/metrics")).text.splitlines()
    counts = [line for line in lines if 'environment="untouched"' in line and "_total" in line]
    kinds = ("connection", "not-ready", "timeout", "nonsense")
    assert counts == [
        'gateway_predictions_total{environment="untouched",prediction="spam"} 0.0',
        'gateway_predictions_total{environment="untouched",prediction="ham"} 0.0',
        'gateway_refused_mails_total{environment="untouched"} 0.0',
        'gateway_expired_mails_total{environment="untouched"} 0.0',
        *(f'gateway_upstream_errors_total{{environment="untouched",kind="{kind}"}} 0.0' for kind in kinds),
        'gateway_upstream_retries_total{environment="untouched"} 0.0',
    ]


def _value(metrics: str, name: str) -> float:
    return next((float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(name)), 0.0)


async def test_a_bug_is_a_problem_with_the_request_id(
    http: httpx.AsyncClient, transformer: FakeTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.http.bodies.sizes", lambda *_: 1 / 0)
    counter = _requests("staging", PREDICT, 500)
    before = _value((await http.get("/metrics")).text, counter)
    response = await http.post(PREDICT, json={"email_content": "0.5"}, headers={"X-Request-ID": "r-2"})
    assert (response.status_code, response.json()["request_id"]) == (500, "r-2")
    assert _value((await http.get("/metrics")).text, counter) == before + 1


async def test_openapi_describes_bodies_headers_and_problems(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    operation = document["paths"][PREDICT]["post"]
    assert {"200", "400", "413", "422", "502", "503", "504"} <= operation["responses"].keys()
    assert operation["parameters"][0]["schema"]["enum"] == ["staging", "production"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/PredictRequest")
    assert "email_content" in document["components"]["schemas"]["PredictRequest"]["properties"]


async def test_a_hostile_answer_never_reaches_the_client(http: httpx.AsyncClient, transformer: FakeTransformer) -> None:
    async def garbage(_: web.Request, __: list[str]) -> web.Response:
        return web.Response(text="<html>")

    transformer.fault = garbage
    response = await http.post(PREDICT, json={"email_content": "0.5"})
    assert (response.status_code, response.json()["type"]) == (502, "urn:problem:upstream-error")


@pytest.mark.parametrize("path", ["predict", "batch-predict"])
@pytest.mark.parametrize("name", ["X-Environment", "X-Request-ID"])
async def test_a_header_given_twice_is_refused(http: httpx.AsyncClient, path: str, name: str) -> None:
    headers = [(name, "staging"), (name, "staging")]
    response = await http.post(f"/api/v1/{path}", json={"email_content": "0.5"}, headers=headers)
    assert (response.status_code, response.json()["type"]) == (400, "urn:problem:repeated-header")


async def test_a_compressed_body_is_refused(http: httpx.AsyncClient) -> None:
    response = await http.post(PREDICT, json={"email_content": "0.5"}, headers={"Content-Encoding": "gzip"})
    assert (response.status_code, response.json()["type"]) == (415, "urn:problem:encoded-body")


async def test_a_path_is_logged_as_it_was_sent(http: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]) -> None:
    await http.get("/%E2%80%A8%0d%0a" + "a" * 1000, headers={"X-Request-ID": "sent"})
    line = await line_of(capsys, "sent")
    assert line["path"].startswith("/%E2%80%A8%0")
    assert len(line["path"]) == 200


async def test_every_operation_describes_its_problems_and_the_request_id(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert paths.keys() == {"/health", "/ready", "/metrics", PREDICT, "/api/v1/batch-predict", "/api/v1/explain"}
    for operation in (operation for path in paths.values() for operation in path.values()):
        assert "X-Request-ID" in [parameter["name"] for parameter in operation["parameters"]]
        assert {"200", "400", "431", "500"} <= operation["responses"].keys()


@pytest.mark.parametrize("path", ["predict", "batch-predict", "explain"])
async def test_a_large_body_is_answered_as_a_small_one_and_leaves_turns_to_others(
    transformer: FakeTransformer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("gateway.http.bodies.READ_SECONDS", 0.0)
    field, mail = ("emails", '["0.75"]') if path == "batch-predict" else ("email_content", '"0.75"')
    small = f'{{"{field}": {mail}}}'.encode()
    async with running({"staging": transformer.url}) as client:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        answers = []
        for content in (small, small.replace(b" ", b" " * 8_000_000)):
            before = turns
            answer = await client.post(f"/api/v1/{path}", content=content, headers={"X-Request-ID": "same"})
            answers.append((answer.status_code, answer.json()))
        beside.cancel()
    assert answers[0][0] == 200
    assert answers[0] == answers[1]
    assert turns - before > 8_000_000 // (64 * 1024)


async def test_a_large_body_waits_for_nothing_where_no_single_mail_is(
    transformer: FakeTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.routing.api.PIECE_PAUSE_SECONDS", 3600)
    async with running({"staging": transformer.url}) as client, asyncio.timeout(20):
        content = b'{"emails": ["0.75"]' + b" " * 1_000_000 + b"}"
        assert (await client.post("/api/v1/batch-predict", content=content)).status_code == 200


async def test_a_large_body_is_read_with_pauses_beside_single_mail(
    transformer: FakeTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.routing.api.PIECE_PAUSE_SECONDS", 3600)
    monkeypatch.setattr("gateway.routing.api.BESIDE_MAIL_SECONDS", 3600)
    async with running({"staging": transformer.url}) as client:
        assert (await client.post(PREDICT, json={"email_content": "0.75"})).status_code == 200
        content = b'{"emails": ["0.75"]' + b" " * 1_000_000 + b"}"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await client.post("/api/v1/batch-predict", content=content)


@pytest.mark.parametrize("path", ["predict", "batch-predict", "explain"])
@pytest.mark.parametrize("bomb", [*ONE, *MANY])
async def test_a_bomb_is_refused_on_every_way(transformer: FakeTransformer, path: str, bomb: str) -> None:
    async with running({"staging": transformer.url}, max_mail_bytes=1000) as client:
        answer = await client.post(f"/api/v1/{path}", content=(ONE | MANY)[bomb](200_000))
    if not (bomb.startswith("space") and path != "batch-predict"):
        assert answer.status_code in (413, 422)
        assert answer.json()["detail"]
