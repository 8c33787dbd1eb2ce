"""Requests to the transformer and its answers, in the Open Inference Protocol v2.

An answer is checked before anything of it reaches a client: length, range, id, version, digest.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from contract import tensors
from contract.limits import is_probability
from gateway.predictions.mails import Answered, ExplainedFeatures, Mail, Verdicts
from inference.answers import REASON_CHARACTERS, error_text, model_sha256, model_version, read_answer, threshold


def infer_request(mails: Sequence[Mail], batch_id: str, explain: bool = False) -> bytes:
    """Return the v2 request for n mails; `request_id` names each mail's request in the inference log."""
    parameters = {"parameters": {tensors.EXPLAIN: True}} if explain else {}
    return orjson.dumps({**parameters, "id": batch_id, "inputs": _mail_inputs(mails)})


def _mail_inputs(mails: Sequence[Mail]) -> list[dict[str, Any]]:
    return [
        _input(tensors.EMAIL_CONTENT, "BYTES", [mail.content for mail in mails]),
        _input(tensors.REQUEST_ID, "BYTES", [mail.request_id for mail in mails]),
    ]


def _input(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}


def shadow_request(pieces: Sequence[Answered], batch_id: str) -> bytes:
    """Return the v2 request for mails that production has answered: as `infer_request`, plus production's answers."""
    answers = [(piece.answer, len(piece.mails)) for piece in pieces]
    columns: dict[str, list[Any]] = {
        tensors.POSITION: [piece.first + i for piece in pieces for i in range(len(piece.mails))],
        tensors.PRODUCTION_VERSION: [answer.model_version for answer, n in answers for _ in range(n)],
        tensors.PRODUCTION_SHA256: [answer.model_sha256 for answer, n in answers for _ in range(n)],
        tensors.PRODUCTION_PROBABILITY: [each for answer, _ in answers for each in answer.probabilities],
        tensors.PRODUCTION_PREDICTION: [each for answer, _ in answers for each in answer.predictions],
        tensors.PRODUCTION_SECONDS: [answer.seconds for answer, n in answers for _ in range(n)],
    }
    batch_mails = [answer.batch_mails for answer, n in answers for _ in range(n)]
    mails = [mail for piece in pieces for mail in piece.mails]
    inputs = [
        *_mail_inputs(mails),
        *(_input(name, datatype, columns[name]) for name, datatype in tensors.SHADOW_INPUTS.items()),
        _input(tensors.PRODUCTION_BATCH_MAILS, "INT32", batch_mails),
    ]
    return orjson.dumps({"id": batch_id, "inputs": inputs})


def read_response(body: bytes, n: int, batch_id: str) -> Verdicts:
    """Return the answer in the transformer's outputs `spam_probability` and `prediction`.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: The body is not an answer to this batch of n mails.
    """
    answer = read_answer(body, batch_id)
    probabilities, predictions = _column(answer, tensors.SPAM_PROBABILITY, n), _column(answer, tensors.PREDICTION, n)
    if not all(map(is_probability, probabilities)):
        raise ValueError("a probability is not between 0 and 1")
    if not all(prediction in tensors.PREDICTIONS for prediction in predictions):
        raise ValueError("a prediction is neither spam nor ham")
    parameters = answer.get("parameters") or {}
    return Verdicts(
        probabilities,
        predictions,
        model_version(answer["model_version"]),
        model_sha256(parameters),
        threshold=threshold(parameters),
    )


def _column(answer: dict[str, Any], name: str, n: int) -> list[Any]:
    (data,) = [output["data"] for output in answer["outputs"] if output["name"] == name]
    if not isinstance(data, list) or len(data) != n:
        raise ValueError(f"'{name}' is no list of {n} values")
    return data


def read_features(body: bytes) -> ExplainedFeatures:
    """Return the features that the transformer adds to its answer for `explain`, of one mail.

    Raises:
        ValueError, KeyError, TypeError: The body has no such answer; an older transformer does not know `explain`.
    """
    outputs = {output["name"]: output["data"] for output in orjson.loads(body)["outputs"]}
    if tensors.FEATURES not in outputs:
        raise ValueError("no features; this environment's transformer is too old to explain")
    names, descriptions = outputs[tensors.FEATURE_NAMES], outputs[tensors.FEATURE_DESCRIPTIONS]
    values, quantiles = outputs[tensors.FEATURES], outputs.get(tensors.FEATURE_QUANTILES)
    if not len(names) == len(descriptions) == len(values):
        raise ValueError(f"{len(names)} names and {len(descriptions)} descriptions of {len(values)} features")
    if quantiles is not None and len(quantiles) != len(names) * len(tensors.GROUPS) * len(tensors.QUANTILES):
        raise ValueError(f"{len(quantiles)} quantiles of {len(names)} features")
    return ExplainedFeatures(names, descriptions, values, quantiles)


def read_explained(body: bytes, n: int, batch_id: str) -> tuple[Verdicts, ExplainedFeatures]:
    """Return the answer to one mail and its features; raises as `read_response` and `read_features`."""
    return read_response(body, n, batch_id), read_features(body)


def error_reason(status: int, body: bytes) -> str:
    """Return the transformer's own message if it names a hop, else one that says which hop failed."""
    reason = error_text(body)
    if reason is None:
        reason = body[:200].decode("utf-8", "replace") or "no reason given"
    named = reason.startswith(("the predictor", "the transformer"))
    return reason if named else f"the transformer answered {status}: {reason}"


def nonsense(why: str) -> str:
    """Return the reason why an answer with status 200 cannot be used."""
    return f"the transformer's answer makes no sense ({why})"[:REASON_CHARACTERS]
