import threading
from typing import Any

import numpy as np
import pytest
from conftest import LINKS, TEXTS, WORDS, request
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from bundle import Bundle
from oip import InvalidInput
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
        "model_sha256": loaded.manifest.files["model.joblib"],
    }


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


async def test_scoring_leaves_the_event_loop_free(model: SpamModel, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    class Slow:
        def __init__(self, bundle: Bundle) -> None:
            self.columns = bundle.columns
            self.manifest = bundle.manifest

        def score(self, texts: list[str], values: Any) -> Any:
            threads.append(threading.current_thread())
            return np.full(len(texts), 0.5)

    monkeypatch.setattr(model, "_bundle", Slow(model._bundle))
    await model.predict(request())
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
    """The SDK hands on what came with another Content-Type as bytes."""
    with pytest.raises(InvalidInput, match="needs Content-Type application/json"):
        await model.predict(b'{"instances": []}')  # type: ignore[arg-type]


def test_metadata_name_every_column(model: SpamModel) -> None:
    assert [tensor["name"] for tensor in model.get_input_types()] == ["text", "links", "words"]
    assert model.get_output_types() == [{"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]}]
