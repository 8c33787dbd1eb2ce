import asyncio
import json
import math
import threading
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest
from aiohttp import web
from conftest import SHA256, TIMEOUT_SECONDS, FakePredictor, LogOnDisk, hang, scores
from kserve import InferInput, InferRequest, InferResponse

import features
from kserving import InvalidInput, Unavailable
from transformer.feature_columns import QUANTILES_SHAPE
from transformer.model import INLINE_CHARACTERS, FeatureTransformer
from transformer.predictor_client import PredictorClient

SPAM = "Subject: win\n\nmoney money http://1.2.3.4/"
HAM = "See you at ten."


def request(*mails: Any, ids: list[str] | None = None) -> InferRequest:
    inputs = [InferInput("email_content", [len(mails)], "BYTES", data=list(mails))]
    if ids is not None:
        inputs.append(InferInput("request_id", [len(ids)], "BYTES", data=ids))
    return InferRequest("spam-detector", inputs, request_id="batch")


def with_parameters(**parameters: Any) -> InferRequest:
    asked = request(HAM)
    asked.parameters = parameters
    return asked


async def ask(model: FeatureTransformer, request: InferRequest | dict[str, Any]) -> InferResponse:
    response, _ = await model(request)
    assert isinstance(response, InferResponse)
    return response


async def test_mails_are_answered_in_order(model: FeatureTransformer) -> None:
    response = await ask(model, request(SPAM, HAM))
    assert {output.name: output.data for output in response.outputs} == {
        "spam_probability": [0.95, 0.05],
        "prediction": ["spam", "ham"],
    }
    assert (response.id, response.model_version) == ("batch", "7")
    assert response.parameters == {"model_sha256": SHA256, "threshold": 0.9}


QUANTILES = [float(i) for i in range(math.prod(QUANTILES_SHAPE))]


def explained(*mails: str) -> InferRequest:
    asked = request(*mails)
    asked.parameters = {"explain": True}
    return asked


def quantiles(shape: list[int] = QUANTILES_SHAPE, data: Any = QUANTILES) -> dict[str, Any]:
    return {"name": "feature_quantiles", "datatype": "FP64", "shape": shape, "data": data}


async def test_explained_mails_come_with_what_was_seen(
    model: FeatureTransformer, predictor: FakePredictor, log: LogOnDisk
) -> None:
    content = predictor.answer([0.95, 0.05])
    predictor.fault = answering({**content, "outputs": [quantiles(), *content["outputs"]]})
    response = await ask(model, explained(SPAM, HAM))
    found = {output.name: output for output in response.outputs}
    assert found["spam_probability"].data == [0.95, 0.05]
    assert found["features"].shape == [2, len(features.NAMES)]
    assert found["features"].data == [*features.extract(SPAM).values, *features.extract(HAM).values]
    assert found["feature_names"].data == list(features.NAMES)
    assert found["feature_descriptions"].data == list(features.DESCRIPTIONS.values())
    assert found["feature_quantiles"].data == QUANTILES
    assert predictor.bodies[-1]["parameters"] == {"content_type": "pd", "explain": True}
    assert len(log.rows()) == 2, "an explained mail is an answered mail"


async def test_a_predictor_that_knows_no_quantiles_leaves_them_out(model: FeatureTransformer) -> None:
    response = await ask(model, explained(HAM))
    assert [output.name for output in response.outputs][-1] == "feature_descriptions"


@pytest.mark.parametrize("output", [quantiles(shape=[1, 3, 5]), quantiles(data=[1.0]), quantiles(data=["x"] * 420)])
async def test_quantiles_of_other_features_are_nonsense(
    model: FeatureTransformer, predictor: FakePredictor, output: dict[str, Any]
) -> None:
    content = predictor.answer([0.05])
    predictor.fault = answering({**content, "outputs": [*content["outputs"], output]})
    with pytest.raises(Unavailable, match="makes no sense"):
        await ask(model, explained(HAM))


async def test_the_predictor_gets_one_input_a_column(model: FeatureTransformer, predictor: FakePredictor) -> None:
    await ask(model, request(SPAM, HAM))
    (body,) = predictor.bodies
    text, *numeric = body["inputs"]
    expected = [features.extract(SPAM), features.extract(HAM)]
    assert text == {
        "name": "text",
        "datatype": "BYTES",
        "shape": [2, 1],
        "parameters": {"content_type": "str"},
        "data": [mail.text for mail in expected],
    }
    assert [tensor["name"] for tensor in numeric] == list(features.NAMES)
    assert {(tensor["datatype"], *tensor["shape"]) for tensor in numeric} == {("FP32", 2, 1)}
    assert [tensor["data"] for tensor in numeric] == [
        list(pair) for pair in zip(*(m.values for m in expected), strict=True)
    ]
    assert body["parameters"] == {"content_type": "pd"}
    assert body["outputs"] == [{"name": "predict_proba"}]
    assert predictor.headers[0]["X-Request-ID"] == "batch"


async def test_answered_mails_are_recorded_without_their_text(model: FeatureTransformer, log: LogOnDisk) -> None:
    await ask(model, request(SPAM, HAM, ids=["a", "b"]))
    rows = log.rows()
    for row, name, mail, score in zip(rows, "ab", (SPAM, HAM), (0.95, 0.05), strict=True):
        named = dict(zip(features.NAMES, features.extract(mail).values, strict=True))
        assert {key: row[key] for key in named} == pytest.approx(named)
        assert (row["request_id"], row["spam_probability"], row["environment"]) == (name, score, "test")
        assert (row["model_version"], row["model_sha256"]) == ("7", SHA256)
        assert row["feature_schema_version"] == features.SCHEMA_VERSION
        assert abs(datetime.now(UTC) - row["time"]) < timedelta(minutes=1)
    assert "money" not in repr([list(row.values()) for row in rows])


async def test_failed_mails_are_not_recorded(
    model: FeatureTransformer, predictor: FakePredictor, log: LogOnDisk
) -> None:
    predictor.fault = answering({}, 500)
    with pytest.raises(Unavailable):
        await ask(model, request(SPAM))
    assert log.rows() == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (InferRequest("m", []), "one input 'email_content', got 0"),
        (InferRequest("m", [InferInput("email_content", [0], "BYTES", data=[])]), "holds no mail"),
        (InferRequest("m", [InferInput("email_content", [1], "FP32", data=[1.0])]), "expected BYTES"),
        (request(HAM, ids=["a", "b"]), "'request_id' has 2 rows, 'email_content' has 1"),
        (with_parameters(explain="yes"), "parameter 'explain' is a str; expected true or false"),
        ({"instances": ["mail"]}, "speaks protocol v2 only"),
    ],
)
async def test_wrong_requests_are_refused(model: FeatureTransformer, wrong: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        await ask(model, wrong)


async def test_large_mails_leave_the_event_loop_free(
    model: FeatureTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def noting(email: str) -> features.Features:
        threads.append(threading.current_thread() is threading.main_thread())
        return features.extract(email)

    monkeypatch.setattr("transformer.model.extract", noting)
    await ask(model, request(HAM))
    await ask(model, request("x" * INLINE_CHARACTERS, HAM))
    assert threads == [True, False, False]


async def test_large_mails_are_answered_like_small_ones(model: FeatureTransformer) -> None:
    response = await ask(model, request(SPAM + " x" * 200_000, HAM))
    assert response.outputs[0].data == [0.95, 0.05]


def answering(content: Any, status: int = 200) -> Any:
    async def fault(_: web.Request) -> web.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(body=body, status=status)

    return fault


FAKE = FakePredictor()


def with_output(**changes: Any) -> dict[str, Any]:
    answer = FAKE.answer([0.5])
    return {**answer, "outputs": [{**answer["outputs"][0], **changes}]}


@pytest.mark.parametrize(
    "content",
    [
        b"garbage",
        b"[]",
        {},
        {"outputs": []},
        {"outputs": [{"name": "a", "shape": [1, 2], "data": None}]},
        {**FAKE.answer([0.5]), "outputs": FAKE.answer([0.5])["outputs"] * 2},
        FAKE.answer([0.5, 0.5]),
        FAKE.answer([]),
        FAKE.answer([1.5]),
        FAKE.answer([float("nan")]),
        with_output(data=[[0.5]]),
        with_output(data="ab"),
        with_output(data=[]),
        with_output(data=[0.5, 0.5, 0.5, 0.5]),
        with_output(data=[None, None]),
        with_output(shape=[2, 1]),
        {**FAKE.answer([0.5]), "parameters": ["threshold"]},
        {**FAKE.answer([0.5]), "parameters": {"threshold": "0.9"}},
        {**FAKE.answer([0.5]), "parameters": {"model_sha256": "ab\r\nX: y"}},
        {**FAKE.answer([0.5]), "id": "another"},
        {**FAKE.answer([0.5]), "error": "but with status 200"},
        {**FAKE.answer([0.5]), "model_version": 7},
        {**FAKE.answer([0.5]), "more": "x" * 100_000},
        FAKE.answer([float("inf")]),
        json.dumps(FAKE.answer([0.5])).encode()[:-5],
        with_output(data=["0.5", "0.5"]),
        with_output(data=["NaN", "NaN"]),
        with_output(data=[True, True]),
        with_output(data=[-0.1, -0.1]),
    ],
)
async def test_nonsense_is_502(model: FeatureTransformer, predictor: FakePredictor, content: Any) -> None:
    predictor.fault = answering(content)
    with pytest.raises(Unavailable, match="makes no sense") as raised:
        await ask(model, request(HAM))
    assert raised.value.status == 502


@pytest.mark.parametrize(("status", "expected"), [(404, 503), (503, 503), (400, 502), (500, 502)])
async def test_error_answers(model: FeatureTransformer, predictor: FakePredictor, status: int, expected: int) -> None:
    predictor.fault = answering({"error": "because"}, status)
    with pytest.raises(Unavailable, match="because") as raised:
        await ask(model, request(HAM))
    assert raised.value.status == expected


async def test_a_hanging_predictor_is_504(model: FeatureTransformer, predictor: FakePredictor) -> None:
    predictor.fault = hang
    async with asyncio.timeout(TIMEOUT_SECONDS + 30):
        with pytest.raises(Unavailable, match="did not answer in time") as raised:
            await ask(model, request(HAM))
    assert raised.value.status == 504


async def test_half_an_answer_is_503(model: FeatureTransformer, predictor: FakePredictor) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"outputs": [')
        hang_up(request)
        return response

    predictor.fault = half
    with pytest.raises(Unavailable, match="cannot be reached: ClientPayloadError") as raised:
        await ask(model, request(HAM))
    assert raised.value.status == 503
    assert len(predictor.bodies) == 1


def hang_up(request: web.Request) -> None:
    assert request.transport
    request.transport.close()


async def test_an_id_that_no_header_may_hold_stays_in_the_body(
    model: FeatureTransformer, predictor: FakePredictor
) -> None:
    batch_id = "\u4e2d" * 100_000
    asked = request(HAM)
    asked.id = batch_id
    response = await ask(model, asked)
    assert predictor.bodies[0]["id"] == response.id == batch_id
    assert "X-Request-ID" not in predictor.headers[0]


async def test_a_dead_predictor_is_503(unused_tcp_port: int, log: LogOnDisk) -> None:
    client = PredictorClient(f"http://127.0.0.1:{unused_tcp_port}", "spam-detector", 1)
    with pytest.raises(Unavailable, match="the predictor cannot be reached") as raised:
        await ask(FeatureTransformer("spam-detector", client, log.writer), request(HAM))
    await client.close()
    assert raised.value.status == 503


async def test_a_model_of_another_feature_schema_is_refused(
    model: FeatureTransformer, predictor: FakePredictor
) -> None:
    predictor.parameters["feature_schema_version"] = "0"
    with pytest.raises(Unavailable, match="trained on feature schema 0, this transformer makes "):
        await ask(model, request(HAM))


async def test_a_stock_predictor_needs_a_threshold_from_the_settings(
    client: PredictorClient, predictor: FakePredictor, log: LogOnDisk
) -> None:
    predictor.parameters = {}
    with pytest.raises(Unavailable, match="set SPAM_THRESHOLD"):
        await ask(FeatureTransformer("m", client, log.writer), request(SPAM))
    response = await ask(FeatureTransformer("m", client, log.writer, spam_threshold=0.96), request(SPAM))
    assert response.outputs[1].data == ["ham"]
    assert response.parameters == {"threshold": 0.96}


@pytest.mark.parametrize(("threshold", "label"), [(None, "spam"), (0.5, "spam"), (0.96, "ham")])
async def test_the_environments_threshold_goes_before_the_models(
    client: PredictorClient, log: LogOnDisk, threshold: float | None, label: str
) -> None:
    response = await ask(FeatureTransformer("m", client, log.writer, spam_threshold=threshold), request(SPAM))
    assert response.parameters == {"model_sha256": SHA256, "threshold": threshold or 0.9}
    assert response.outputs[1].data == [label]


async def test_nested_rows_are_read_too(model: FeatureTransformer, predictor: FakePredictor) -> None:
    output = {"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [[0.25, 0.75]]}
    predictor.fault = answering({**predictor.answer([0.5]), "outputs": [output]})
    assert (await ask(model, request(HAM))).outputs[0].data == [0.75]


def with_deadline(model: FeatureTransformer, milliseconds: str) -> Any:
    return model(request(HAM), headers={"x-deadline-ms": milliseconds})


async def test_a_deadline_of_the_sender_bounds_the_predictors_time(
    model: FeatureTransformer, predictor: FakePredictor
) -> None:
    predictor.fault = hang
    began = monotonic()
    with pytest.raises(Unavailable, match="the predictor did not answer in time") as raised:
        await with_deadline(model, "200")
    assert raised.value.status == 504
    assert monotonic() - began < TIMEOUT_SECONDS


async def test_a_deadline_that_has_passed_is_504_without_asking(
    model: FeatureTransformer, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformer.model.read_deadline", lambda _: monotonic() - 1)
    with pytest.raises(Unavailable, match="the transformer had no time left") as raised:
        await ask(model, request(HAM))
    assert raised.value.status == 504
    assert predictor.bodies == []


@pytest.mark.parametrize("wrong", ["", "0", "-1", "soon", "1.5", "1e3", "99999999999", "\u00b2"])
async def test_a_deadline_that_is_no_number_is_refused(model: FeatureTransformer, wrong: str) -> None:
    with pytest.raises(InvalidInput, match="X-Deadline-Ms is .* expected 1 to 3600000 milliseconds"):
        await with_deadline(model, wrong)


async def test_a_predictor_that_hangs_is_asked_by_one_request_at_a_time(
    model: FeatureTransformer, predictor: FakePredictor
) -> None:
    predictor.fault = hang
    with pytest.raises(Unavailable):
        await ask(model, request(HAM))
    with pytest.raises(Unavailable, match="the predictor is not asked now") as raised:
        await ask(model, request(HAM))
    assert raised.value.status == 503
    assert len(predictor.bodies) == 1


async def test_answers_of_two_requests_are_never_swapped(model: FeatureTransformer, predictor: FakePredictor) -> None:
    """The predictor, or a proxy before it, gives each request the other's answer."""
    waiting: list[tuple[asyncio.Future[Any], Any]] = []

    async def swap(_: web.Request) -> web.Response:
        body = predictor.bodies[-1]
        own = {**predictor.answer(scores(body)), "id": body["id"]}
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting.append((future, own))
        if len(waiting) == 2:
            (first, one), (second, other) = waiting
            first.set_result(other)
            second.set_result(one)
        return web.json_response(await future)

    predictor.fault = swap
    asked = [request(SPAM), request(HAM)]
    for each, batch_id in zip(asked, ("a", "b"), strict=True):
        each.id = batch_id
    outcomes = await asyncio.gather(*(ask(model, each) for each in asked), return_exceptions=True)
    assert all("answers another request" in str(outcome) for outcome in outcomes), outcomes
