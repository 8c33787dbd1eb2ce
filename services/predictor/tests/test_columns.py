import pytest
from conftest import COLUMNS, LINKS, TEXTS, WORDS, request, tensors
from kserve import InferInput, InferRequest

from kserving import InvalidInput
from predictor.columns import from_instances, from_tensors


def read(request: InferRequest, max_rows: int = 100) -> None:
    from_tensors(request, COLUMNS, max_rows)


def test_columns_come_in_the_models_order() -> None:
    shuffled = InferRequest("m", list(reversed(tensors().values())))
    table = from_tensors(shuffled, COLUMNS, 100)
    assert table.texts == TEXTS
    assert table.values.tolist() == [list(row) for row in zip(LINKS, WORDS, strict=True)]


def test_v1_instances_are_the_same_table() -> None:
    instances = [{"words": w, "links": n, "text": t} for t, n, w in zip(TEXTS, LINKS, WORDS, strict=True)]
    table = from_instances(instances, COLUMNS, 100)
    assert table.values.tolist() == from_tensors(request(), COLUMNS, 100).values.tolist()


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (InferInput("links", [4, 1], "FP32", data=[1, 2, 3, "4"]), "'links' holds something that is no number"),
        (InferInput("links", [4, 1], "FP32", data=[1, 2, 3, None]), "'links' holds something that is no number"),
        (InferInput("links", [4, 1], "FP32", data=[1.0, 2.0, 3.0, float("nan")]), "'links' .* not finite"),
        (InferInput("words", [4, 1], "FP32", data=[1.0, 2.0, 3.0, float("inf")]), "'words' .* not finite"),
        (InferInput("links", [4, 1], "BYTES", data=["1"] * 4), "datatype BYTES; expected FP32"),
        (InferInput("links", [3, 1], "FP32", data=[1.0] * 3), "'links' has 3 rows, 'text' has 4"),
        (InferInput("links", [4, 2], "FP32", data=[1.0] * 8), r"shape \[4, 2\]"),
        (InferInput("links", [4, 1], "FP32", data=[1.0] * 3), "4, 1. and 3 values"),
        (InferInput("links", [4, 1], "FP32", data=[[1.0], [[1.0]], [1.0], [1.0]]), "nested values"),
        (InferInput("text", [4, 1], "FP32", data=[1.0] * 4), "expected BYTES"),
        (InferInput("more", [4, 1], "FP32", data=[1.0] * 4), "unknown more: the model was trained on text, links"),
    ],
)
def test_wrong_columns_are_named(tensor: InferInput, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(request(**{tensor.name: tensor}))


def test_missing_and_doubled_columns_are_refused() -> None:
    with pytest.raises(InvalidInput, match="missing words: the model was trained on text, links, words"):
        read(InferRequest("m", [tensors()["text"], tensors()["links"]]))
    with pytest.raises(InvalidInput, match="twice"):
        read(InferRequest("m", [*tensors().values(), tensors()["links"]]))


def test_rows_are_bounded() -> None:
    with pytest.raises(InvalidInput, match="4 rows; expected 1 to 3"):
        read(request(), max_rows=3)
    with pytest.raises(InvalidInput, match="0 rows"):
        read(InferRequest("m", list(tensors(0).values())))


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        (None, "not a list of objects; each has the fields text, links, words"),
        ([1], "not a list of objects"),
        ([], "0 rows"),
        ([{"text": "a", "links": 1}], "missing words"),
        ([{"text": "a", "links": 1, "words": 1, "more": 1}], "unknown more"),
        ([{"text": 1, "links": 1, "words": 1}], "'text' is not a string"),
        ([{"text": "a", "links": "1", "words": 1}], "'links' holds something that is no number"),
    ],
)
def test_wrong_instances_are_named(instances: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        from_instances(instances, COLUMNS, 100)
