import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import LINKS, QUANTILES, TEXTS, WORDS, request
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from bundle import Bundle, quantiles
from contract import tensors
from kserving import InvalidInput
from predictor.model import SpamModel


async def test_the_answer_is_the_bundles(model: SpamModel, loaded: Bundle) -> None:
    response = await model.predict(request())
    assert isinstance(response, InferResponse)
    (output,) = response.outputs
    expected = loaded.score(TEXTS, np.column_stack((LINKS, WORDS)))
    assert (output.name, output.shape, output.datatype) == ("predict_proba", [4, 2], "FP64")
    assert output.data[1::2] == pytest.approx(expected)
    assert output.data[0::2] == pytest.approx(1 - expected)
    assert response.model_version == "1"
    assert response.parameters == {
        "threshold": 0.9,
        "feature_schema_version": "1",
        "model_sha256": loaded.sha256,
    }


async def test_explained_answers_say_what_training_mail_is_like(model: SpamModel) -> None:
    asked = request()
    asked.parameters = {"explain": True}
    response = await model.predict(asked)
    assert isinstance(response, InferResponse)
    scores, quantiles = response.outputs
    assert scores.name == "predict_proba"
    assert (quantiles.name, quantiles.shape, quantiles.datatype) == ("feature_quantiles", [2, 3, 5], "FP64")
    found = np.reshape(quantiles.data, quantiles.shape)
    assert found[0].tolist() == [QUANTILES[group]["links"] for group in ("all", "ham", "spam")]
    assert found[1, 2].tolist() == [2, 2, 2, 3, 3]


async def test_a_bundle_without_quantiles_answers_without(loaded: Bundle) -> None:
    bare = replace(loaded, manifest=replace(loaded.manifest, feature_quantiles=None))
    asked = request()
    asked.parameters = {"explain": True}
    response = await SpamModel("spam-detector", bare, max_rows=100).predict(asked)
    assert isinstance(response, InferResponse)
    assert [output.name for output in response.outputs] == ["predict_proba"]


async def test_explain_is_true_or_false(model: SpamModel) -> None:
    asked = request()
    asked.parameters = {"explain": "yes"}
    with pytest.raises(InvalidInput, match="parameter 'explain' is a str; expected true or false"):
        await model.predict(asked)


async def test_v1_answers_the_same(model: SpamModel) -> None:
    instances = [{"text": t, "links": n, "words": w} for t, n, w in zip(TEXTS, LINKS, WORDS, strict=True)]
    v1 = await model.predict({"instances": instances})
    v2 = await model.predict(request())
    assert isinstance(v1, dict)
    assert isinstance(v2, InferResponse)
    assert v1["predictions"] == v2.outputs[0].data[1::2]


async def test_a_batch_equals_single_answers(model: SpamModel) -> None:
    batch = await model.predict(request())
    assert isinstance(batch, InferResponse)
    for i, text in enumerate(TEXTS):
        one = [
            InferInput("text", [1], "BYTES", data=[text]),
            InferInput("links", [1], "FP32", data=[LINKS[i]]),
            InferInput("words", [1], "FP32", data=[WORDS[i]]),
        ]
        single = await model.predict(InferRequest("m", one))
        assert isinstance(single, InferResponse)
        assert single.outputs[0].data[1] == pytest.approx(batch.outputs[0].data[2 * i + 1], abs=1e-9)
        assert single.id, "an answer has an id even where the request has none"


async def test_scoring_leaves_the_event_loop_free(loaded: Bundle) -> None:
    threads = []

    def score(texts: list[str], _: Any) -> Any:
        threads.append(threading.current_thread())
        return np.full(len(texts), 0.5)

    watched: Any = SimpleNamespace(columns=loaded.columns, manifest=loaded.manifest, score=score)
    await SpamModel("spam-detector", watched, max_rows=100).predict(request())
    assert threads
    assert threads[0] is not threading.main_thread()


async def test_what_the_model_cannot_score_is_the_requests_fault(model: SpamModel) -> None:
    with pytest.raises(InvalidInput, match="links"):
        await model.predict(request(links=InferInput("links", [4, 1], "FP32", data=[-1.0] * 4)))
    unknown = request()
    unknown.request_outputs = [RequestedOutput("decision_function")]
    with pytest.raises(InvalidInput, match="unknown output decision_function; the model has 'predict_proba'"):
        await model.predict(unknown)


async def test_v1_must_be_json(model: SpamModel) -> None:
    """The SDK passes on a body with another Content-Type as bytes."""
    with pytest.raises(InvalidInput, match="needs Content-Type application/json"):
        await model.predict(b'{"instances": []}')  # type: ignore[arg-type]


def test_metadata_name_every_column(model: SpamModel) -> None:
    assert [tensor["name"] for tensor in model.get_input_types()] == ["text", "links", "words"]
    assert model.get_output_types() == [{"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]}]


def test_the_quantiles_of_a_bundle_are_those_of_the_contract() -> None:
    assert quantiles.GROUPS == tensors.GROUPS
    assert [f"p{100 * level:02.0f}" for level in quantiles.LEVELS] == list(tensors.QUANTILES)
