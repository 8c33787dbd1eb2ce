"""Shadowed mails: mails that another environment has answered, sent here to be compared.

The request carries the other environment's answers, one value a mail, in these inputs:

- `position` INT32.
- `production_version`, `production_sha256` and `production_prediction` BYTES.
- `production_probability` and `production_seconds` FP64.
- `production_batch_mails` INT32, which an older gateway does not send.

Their rows are stored apart, so this environment's drift detector never sees them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from kserve import InferInput, InferRequest

from contract.limits import LONGEST_VERSION, SHA256
from contract.tensors import POSITION, PRODUCTION_BATCH_MAILS, PRODUCTION_PROBABILITY, PRODUCTION_SECONDS, SHADOW_INPUTS
from inferencelog import Prediction, ProductionAnswer, ShadowRows
from kserving import InvalidInput, integers, numbers, strings, tensor
from transformer.feature_columns import Scores

READERS: dict[str, Callable[[InferInput], Sequence[Any]]] = {"BYTES": strings, "INT32": integers, "FP64": numbers}
LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ProductionAnswers:
    """Production's answers for n mails."""

    positions: list[int]
    """Position of each mail within its request."""
    production: list[ProductionAnswer]


def read_shadow_inputs(request: InferRequest, n: int) -> ProductionAnswers | None:
    """Return production's answers for the n mails of a request, or None if the request is not a shadow's.

    Raises:
        InvalidInput: Some of the inputs are missing, or one does not match `SHADOW_INPUTS`.
    """
    named = SHADOW_INPUTS.keys() & {each.name for each in request.inputs}
    if not named:
        return None
    if missing := [name for name in SHADOW_INPUTS if name not in named]:
        raise InvalidInput(f"a shadowed request also needs the inputs {', '.join(missing)}")
    columns = {name: _column(request, name, kind, n) for name, kind in SHADOW_INPUTS.items()}
    positions = [_within(POSITION, each, 0, LARGEST) for each in columns.pop(POSITION)]
    told = any(each.name == PRODUCTION_BATCH_MAILS for each in request.inputs)
    batch_mails = _column(request, PRODUCTION_BATCH_MAILS, "INT32", n) if told else [0] * n
    return ProductionAnswers(positions, [_answer(*row) for row in zip(*columns.values(), batch_mails, strict=True)])


def shadow_rows(
    shadow: ProductionAnswers,
    request_ids: list[str],
    values: list[tuple[float, ...]],
    scores: Scores,
    predictions: list[str],
    seconds: float,
) -> ShadowRows:
    """Return the rows of a batch that this environment's model has answered in so many seconds."""
    return ShadowRows(
        request_ids=request_ids,
        positions=shadow.positions,
        values=values,
        probabilities=scores.spam,
        predictions=cast(list[Prediction], predictions),
        model_version=scores.model_version,
        model_sha256=scores.model_sha256,
        seconds=seconds,
        production=shadow.production,
    )


def _column(request: InferRequest, name: str, kind: str, n: int) -> Sequence[Any]:
    values = READERS[kind](tensor(request, name))
    if len(values) != n:
        raise InvalidInput(f"input '{name}' has {len(values)} rows, 'email_content' has {n}; they must agree")
    return values


def _answer(
    version: str, sha256: str, probability: float, prediction: str, seconds: float, mails: int
) -> ProductionAnswer:
    if not 0 < len(version) <= LONGEST_VERSION or not version.isprintable():
        raise InvalidInput(f"input 'production_version' holds no text of 1 to {LONGEST_VERSION} printable characters")
    if sha256 and not SHA256.fullmatch(sha256):
        raise InvalidInput(f"input 'production_sha256' holds {sha256[:80]!r}; expected a SHA-256 or nothing")
    if prediction not in get_args(Prediction):
        known = " or ".join(get_args(Prediction))
        raise InvalidInput(f"input 'production_prediction' holds {prediction[:20]!r}; expected {known}")
    _within(PRODUCTION_PROBABILITY, probability, 0, 1)
    _within(PRODUCTION_SECONDS, seconds, 0, float("inf"))
    _within(PRODUCTION_BATCH_MAILS, mails, 0, LARGEST)
    return ProductionAnswer(version, sha256, probability, cast(Prediction, prediction), seconds, mails)


def _within(name: str, value: Any, least: float, most: float) -> Any:
    if not least <= value <= most:
        raise InvalidInput(f"input '{name}' holds {value}; expected {least} to {most}")
    return value
