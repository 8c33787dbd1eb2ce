"""Checked access to a request's input tensors."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from kserve import InferInput, InferRequest

from kserving.errors import InvalidInput


def tensor(request: InferRequest, name: str) -> InferInput:
    """Return the only input of this name.

    Raises:
        InvalidInput: There is no such input, or more than one.
    """
    found = [tensor for tensor in request.inputs if tensor.name == name]
    if len(found) != 1:
        raise InvalidInput(f"expected one input '{name}', got {len(found)}; inputs sent: {_names(request.inputs)}")
    return found[0]


def rows(tensor: InferInput) -> list[Any]:
    """Return the values of a column, one a row.

    Args:
        tensor: Input of shape [n] or [n, 1], with flat or nested data.

    Raises:
        InvalidInput: The input has another shape, or its data do not fill the shape.
    """
    shape, data = tensor.shape, tensor.data
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise InvalidInput(f"input '{tensor.name}' has shape {shape}; expected [n] or [n, 1]")
    if data and isinstance(data[0], list):
        data = list(chain.from_iterable(row if isinstance(row, list) else [row] for row in data))
    if len(data) != shape[0]:
        raise InvalidInput(f"input '{tensor.name}' has shape {shape} and {len(data)} values; they must agree")
    return list(data)


def strings(tensor: InferInput) -> list[str]:
    """Return the texts of a BYTES column, one a row; bytes are decoded as UTF-8.

    Raises:
        InvalidInput: The datatype is not BYTES, or a value is not text.
    """
    if tensor.datatype != "BYTES":
        raise InvalidInput(f"input '{tensor.name}' has datatype {tensor.datatype}; expected BYTES")
    return [_text(tensor.name, value) for value in rows(tensor)]


def numbers(tensor: InferInput) -> list[float]:
    """Return the values of an FP64 column, one a row.

    Raises:
        InvalidInput: The datatype is not FP64, or a value is not a number.
    """
    if tensor.datatype != "FP64":
        raise InvalidInput(f"input '{tensor.name}' has datatype {tensor.datatype}; expected FP64")
    # Python's bool is an int, but not a number here.
    return [float(_of_type(tensor.name, value, (int, float), "number")) for value in rows(tensor)]


def integers(tensor: InferInput) -> list[int]:
    """Return the values of an INT32 column, one a row; raises as `numbers`."""
    if tensor.datatype != "INT32":
        raise InvalidInput(f"input '{tensor.name}' has datatype {tensor.datatype}; expected INT32")
    return [int(_of_type(tensor.name, value, (int,), "whole number")) for value in rows(tensor)]


def flag(request: InferRequest, name: str) -> bool:
    """Return a boolean request parameter, or False if it is missing.

    Raises:
        InvalidInput: The parameter is neither true nor false.
    """
    value = (request.parameters or {}).get(name, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"parameter '{name}' is a {type(value).__name__}; expected true or false")
    return value


def _of_type(name: str, value: Any, types: tuple[type, ...], word: str) -> Any:
    if type(value) not in types:
        raise InvalidInput(f"input '{name}' holds a {type(value).__name__}; expected a {word} in each row")
    return value


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise InvalidInput(f"input '{name}' holds a {type(value).__name__}; expected a string in each row")


def _names(inputs: Iterable[InferInput]) -> str:
    return ", ".join(f"'{tensor.name}'" for tensor in inputs) or "none"
