"""Conversion of a request's input tensors to the columns that the model was trained on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from kserve import InferInput, InferRequest

from kserving import InvalidInput, rows, strings

NUMERIC = frozenset({"FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of one request: `texts` of n mails, and `values` of shape [n, named features]."""

    texts: list[str]
    values: npt.NDArray[np.float64]


def from_tensors(request: InferRequest, columns: tuple[str, ...], max_rows: int) -> Table:
    """Return the table of a v2 request, which has one input a column: `text` and each named feature.

    Args:
        request: Inputs of shape [n, 1] or [n], in any order.
        columns: The model's columns, "text" first.
        max_rows: Largest n.

    Raises:
        InvalidInput: A column is missing, unknown or repeated, has a wrong shape, length or type, or holds a number
            that is not finite.
    """
    inputs = {tensor.name: tensor for tensor in request.inputs}
    _check_names(list(inputs), columns)
    if len(inputs) != len(request.inputs):
        raise InvalidInput("an input is there twice; expected one input a column")
    texts = strings(inputs["text"])
    _check_rows(len(texts), max_rows)
    return Table(texts, _numbers([_numeric(inputs[name], len(texts)) for name in columns[1:]], columns[1:]))


def from_instances(instances: object, columns: tuple[str, ...], max_rows: int) -> Table:
    """Return the table of a v1 request, a list of objects, each with one value a column.

    Raises:
        InvalidInput: As `from_tensors`.
    """
    if not isinstance(instances, list) or not all(isinstance(row, dict) for row in instances):
        raise InvalidInput(f"'instances' is not a list of objects; each has the fields {', '.join(columns)}")
    _check_rows(len(instances), max_rows)
    for row in instances:
        _check_names(list(row), columns)
    texts = [row["text"] for row in instances]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidInput("field 'text' is not a string in every instance")
    return Table(texts, _numbers([[row[name] for row in instances] for name in columns[1:]], columns[1:]))


def _check_names(names: list[str], columns: tuple[str, ...]) -> None:
    if missing := [name for name in columns if name not in names]:
        raise InvalidInput(f"missing {', '.join(missing)}: the model was trained on {', '.join(columns)}")
    if unknown := [name for name in names if name not in columns]:
        raise InvalidInput(f"unknown {', '.join(unknown)}: the model was trained on {', '.join(columns)}")


def _check_rows(n: int, max_rows: int) -> None:
    if not 1 <= n <= max_rows:
        raise InvalidInput(f"{n} rows; expected 1 to {max_rows}, split larger requests")


def _numeric(tensor: InferInput, n: int) -> list[Any]:
    if tensor.datatype not in NUMERIC:
        raise InvalidInput(f"input '{tensor.name}' has datatype {tensor.datatype}; expected FP32")
    data = rows(tensor)
    if len(data) != n:
        raise InvalidInput(f"input '{tensor.name}' has {len(data)} rows, 'text' has {n}; they must agree")
    return data


def _numbers(data: list[list[Any]], names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Return an array of shape [n, columns] from one list for each column."""
    try:
        values = np.array(data)
    except ValueError:
        raise InvalidInput(f"a column holds nested values; expected plain numbers in {', '.join(names)}") from None
    if values.dtype.kind not in "fiu":
        bad = next(name for name, column in zip(names, data, strict=True) if np.array(column).dtype.kind not in "fiu")
        raise InvalidInput(f"column '{bad}' holds something that is no number")
    if not np.isfinite(values).all():
        bad = names[int(np.argmin(np.isfinite(values).all(axis=1)))]
        raise InvalidInput(f"column '{bad}' holds a number that is not finite")
    return np.ascontiguousarray(values.T, dtype=np.float64)
