import pytest
from kserve import InferInput, InferRequest

from kserving import InvalidInput, rows, strings, tensor


def column(data: object, shape: list[int], datatype: str = "BYTES") -> InferInput:
    return InferInput("x", shape, datatype, data=data)


@pytest.mark.parametrize(("data", "shape"), [(["a", "b"], [2]), (["a", "b"], [2, 1]), ([["a"], ["b"]], [2, 1])])
def test_flat_and_nested_columns_are_the_same(data: object, shape: list[int]) -> None:
    assert strings(column(data, shape)) == ["a", "b"]


def test_bytes_are_read_as_utf8() -> None:
    assert strings(column(["ü".encode(), b"\xff"], [2])) == ["ü", "\ufffd"]


@pytest.mark.parametrize("shape", [[], [1, 2], [2, 1, 1]])
def test_other_shapes_are_refused(shape: list[int]) -> None:
    with pytest.raises(InvalidInput, match="'x' has shape .*expected"):
        rows(column(["a", "b"], shape))


def test_data_must_fill_the_shape() -> None:
    with pytest.raises(InvalidInput, match="3.* and 2 values"):
        rows(column(["a", "b"], [3]))


def test_text_must_be_text() -> None:
    with pytest.raises(InvalidInput, match="datatype FP32; expected BYTES"):
        strings(column([1.0], [1], "FP32"))
    with pytest.raises(InvalidInput, match="holds a int"):
        strings(column([1], [1]))


def test_an_input_is_there_once() -> None:
    one = column(["a"], [1])
    assert tensor(InferRequest("m", [one]), "x") is one
    with pytest.raises(InvalidInput, match="one input 'y', got 0; inputs sent: 'x'"):
        tensor(InferRequest("m", [one]), "y")
    with pytest.raises(InvalidInput, match="got 2"):
        tensor(InferRequest("m", [one, one]), "x")
