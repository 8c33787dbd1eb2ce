"""Requests to the predictor and its answers, in the Open Inference Protocol v2."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

import features
from contract import tensors
from contract.limits import is_probability
from features import Features
from inference.answers import model_sha256, model_version, read_answer, threshold
from kserving import Unavailable
from transformer.schema_check import check_schema

REASON_CHARACTERS = 400
"""Characters of an error's message that are passed on."""
QUANTILES_SHAPE = [len(features.NAMES), len(tensors.GROUPS), len(tensors.QUANTILES)]
"""Shape of the quantiles 5, 25, 50, 75 and 95 % of each named number, over all, ham and spam of the training mail."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The predictor's answer for n mails."""

    spam: list[float]
    model_version: str
    model_sha256: str
    threshold: float | None
    quantiles: list[float] | None = None
    """Quantiles of the model's training mail, `QUANTILES_SHAPE` row by row, if requested and known."""


def infer_request(mails: Sequence[Features], request_id: str, explain: bool = False) -> bytes:
    """Return the v2 request for n mails.

    It has one input a column, so any server of scikit-learn pipelines can answer it.
    """
    n = len(mails)
    text = {
        "name": "text",
        "datatype": "BYTES",
        "shape": [n, 1],
        "parameters": {"content_type": "str"},
        "data": [mail.text for mail in mails],
    }
    columns = zip(features.NAMES, zip(*(mail.values for mail in mails), strict=True), strict=True)
    numeric = [{"name": name, "datatype": "FP32", "shape": [n, 1], "data": data} for name, data in columns]
    return orjson.dumps(
        {
            "id": request_id,
            "parameters": {"content_type": "pd", tensors.EXPLAIN: True} if explain else {"content_type": "pd"},
            "inputs": [text, *numeric],
            "outputs": [{"name": tensors.PREDICT_PROBA}],
        }
    )


def read_response(body: bytes, n: int, request_id: str) -> Scores:
    """Return the scores in the one output of shape [n, 2], whatever its name; its last column is spam.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: The body is not an answer to this request of n mails.
        OtherSchema: The model was trained on other features.
    """
    answer = read_answer(body, request_id)
    (output,) = [found for found in answer["outputs"] if found.get("name") != tensors.FEATURE_QUANTILES]
    spam = [_probability(p) for p in _last_column(output["data"])]
    parameters = answer.get("parameters") or {}
    scores = Scores(
        spam,
        model_version(answer.get("model_version") or "unknown"),
        model_sha256(parameters),
        threshold(parameters),
        _quantiles(answer["outputs"]),
    )
    if output.get("shape") != [n, 2] or len(spam) != n:
        raise ValueError(f"{len(spam)} scores of shape {output.get('shape')} for {n} mails")
    check_schema(parameters)
    return scores


def _quantiles(outputs: list[dict[str, Any]]) -> list[float] | None:
    for output in outputs:
        if output.get("name") == tensors.FEATURE_QUANTILES:
            if output["shape"] != QUANTILES_SHAPE or len(output["data"]) != math.prod(QUANTILES_SHAPE):
                raise ValueError(f"{tensors.FEATURE_QUANTILES} of shape {output['shape']}; expected {QUANTILES_SHAPE}")
            return [float(value) for value in output["data"]]
    return None


def _last_column(data: list[Any]) -> list[Any]:
    return [row[1] for row in data] if data and isinstance(data[0], list) else data[1::2]


def _probability(value: object) -> float:
    if not is_probability(value):
        raise ValueError(f"a score is no probability: {str(value)[:50]!r}")
    return float(value)  # type: ignore[arg-type]


def error_answer(status: int, body: bytes) -> Unavailable:
    """Return the error for an answer with this status."""
    reason = body[:REASON_CHARACTERS].decode("utf-8", "replace")
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE):
        return Unavailable(f"the predictor is not ready: {status} {reason}")
    did = "failed" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "refused the features"
    return Unavailable(f"the predictor {did}: {status} {reason}", HTTPStatus.BAD_GATEWAY)


def nonsense(why: str) -> Unavailable:
    """Return the error for an answer with status 200 that cannot be used."""
    return Unavailable(f"the predictor's answer makes no sense: {why[:REASON_CHARACTERS]}", HTTPStatus.BAD_GATEWAY)
