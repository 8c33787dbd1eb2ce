"""Shadow log: rows with a candidate model's answer beside production's answer for the same mail, never its text.

The rows lie in the log's folder `_shadow`, partitioned like the log. Arrow, Spark and pandas skip folders that begin
with an underscore, so readers of the whole log see none of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import features
from inferencelog.chunk import File, files_of, labels
from inferencelog.reader import read_rows
from inferencelog.schema import LABEL
from inferencelog.store import Store, open_store

FOLDER = "_shadow"

Prediction = Literal["spam", "ham"]


@dataclass(frozen=True, slots=True)
class ProductionAnswer:
    """Production's answer for one mail, as its gateway passes it on."""

    model_version: str
    model_sha256: str
    probability: float
    prediction: Prediction
    seconds: float
    """Seconds from sending production's batch to its answer, measured by the gateway."""
    batch_mails: int = 0
    """Mails in that batch; 0 if the gateway does not report it."""


@dataclass(frozen=True, slots=True)
class ShadowRows:
    """Mails of one batch that a candidate has answered; every sequence has one item for each mail [n]."""

    request_ids: Sequence[str]
    positions: Sequence[int]
    """Position of the mail within its request; 0 for a single mail. With the request id it identifies the mail."""
    values: Sequence[Sequence[float]]
    """Named features of each mail, in the order of `features.NAMES`."""
    probabilities: Sequence[float]
    predictions: Sequence[Prediction]
    model_version: str
    model_sha256: str
    seconds: float
    """Seconds that the candidate's transformer and predictor took for this batch, measured by its transformer."""
    production: Sequence[ProductionAnswer]


@dataclass(frozen=True, slots=True)
class ShadowWindow:
    """Shadowed mails with start <= time < end, each once."""

    table: pa.Table
    """Rows of `shadow_schema()` in the order of time."""
    files: int
    unreadable: dict[str, str]
    """Reason why a file is not part of this log, by path; both are one printable line."""
    misplaced: int
    """Rows that belong to another environment or hour than their partition; not in the table."""
    other_models: int
    """Rows of models other than those asked for; not in the table."""
    duplicates: int
    """Further rows of a mail that is already in the table; the first is kept."""
    contradictions: int
    """Duplicates in which a model's prediction differs from the one that is kept."""


def shadow_schema() -> pa.Schema:
    """Return the columns: the candidate's side, then production's answer."""
    return pa.schema(
        [
            pa.field("time", pa.timestamp("us", tz="UTC")),
            pa.field("environment", LABEL),
            pa.field("request_id", pa.string()),
            pa.field("position", pa.int32()),
            pa.field("model_version", LABEL),
            pa.field("model_sha256", LABEL),
            pa.field("feature_schema_version", LABEL),
            *(pa.field(name, pa.float32()) for name in features.NAMES),
            pa.field("probability", pa.float64()),
            pa.field("prediction", LABEL),
            pa.field("seconds", pa.float64()),
            pa.field("batch_mails", pa.int32()),
            pa.field("production_version", LABEL),
            pa.field("production_sha256", LABEL),
            pa.field("production_probability", pa.float64()),
            pa.field("production_prediction", LABEL),
            pa.field("production_seconds", pa.float64()),
            pa.field("production_batch_mails", pa.int32()),
        ]
    )


def open_shadow(log_uri: str) -> Store:
    """Return the store of a log's shadowed mails.

    Raises:
        LogError: If the URI cannot hold files.
    """
    return open_store(f"{log_uri.rstrip('/')}/{FOLDER}")


def _texts() -> dict[str, list[str]]:
    names = [each.name for each in shadow_schema() if each.type in (LABEL, pa.string())]
    return {name: [] for name in names if name not in ("environment", "feature_schema_version")}


def _integers() -> dict[str, array[int]]:
    return {each.name: array("i") for each in shadow_schema() if each.type == pa.int32()}


def _doubles() -> dict[str, array[float]]:
    return {each.name: array("d") for each in shadow_schema() if each.type == pa.float64()}


@dataclass(slots=True)
class ShadowChunk:
    """Buffer of shadowed mails by column, from which `Writer` makes files."""

    times: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("f"))
    integers: dict[str, array[int]] = field(default_factory=_integers)
    texts: dict[str, list[str]] = field(default_factory=_texts)
    doubles: dict[str, array[float]] = field(default_factory=_doubles)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.times)

    def add(self, rows: ShadowRows, microseconds: int) -> None:
        """Add rows that were answered at a time (microseconds since 1970, UTC).

        Raises:
            ValueError: If the sides differ in their number of mails, or if a prediction is invalid. Nothing is added
                then.
        """
        _check(rows)
        n = len(rows.request_ids)
        self.times.extend([microseconds] * n)
        for values in rows.values:
            self.values.extend(values)
        _extend(self.integers, _integers_of(rows))
        _extend(self.texts, _texts_of(rows))
        _extend(self.doubles, _doubles_of(rows))

    def files(self, environment: str) -> list[File]:
        """Return one file for each hour of the rows; every call gives the files new names."""
        return files_of(self._table(environment), environment)

    def _table(self, environment: str) -> pa.Table:
        n = len(self)
        values = np.frombuffer(self.values, np.float32).reshape(n, len(features.NAMES))
        columns: dict[str, Any] = {
            "time": pa.array(np.frombuffer(self.times, np.int64), pa.timestamp("us", tz="UTC")),
            "environment": labels([environment], [n]),
            "feature_schema_version": labels([features.SCHEMA_VERSION], [n]),
            **dict(zip(features.NAMES, (pa.array(np.ascontiguousarray(each)) for each in values.T), strict=True)),
            **{name: labels(texts, [1] * n) for name, texts in self.texts.items() if name != "request_id"},
            "request_id": pa.array(self.texts["request_id"], pa.string()),
            **{name: pa.array(np.frombuffer(numbers, np.int32)) for name, numbers in self.integers.items()},
            **{name: pa.array(np.frombuffer(numbers, np.float64)) for name, numbers in self.doubles.items()},
        }
        return pa.Table.from_arrays([columns[name] for name in shadow_schema().names], schema=shadow_schema())


def _check(rows: ShadowRows) -> None:
    lengths = {
        name: len(getattr(rows, name))
        for name in ("request_ids", "positions", "values", "probabilities", "predictions", "production")
    }
    if len(set(lengths.values())) != 1:
        raise ValueError(f"all columns of shadowed mails need one item a mail, have {lengths}")
    known = get_args(Prediction)
    unknown = {*rows.predictions, *(each.prediction for each in rows.production)}.difference(known)
    if unknown:
        raise ValueError(f"prediction {', '.join(sorted(unknown))!r} is unknown; known: {', '.join(known)}")
    widths = {len(each) for each in rows.values} - {len(features.NAMES)}
    if widths:
        raise ValueError(f"a mail has {widths.pop()} features; expected {len(features.NAMES)}")


def _extend(columns: dict[str, Any], more: dict[str, Sequence[Any]]) -> None:
    for name, items in more.items():
        columns[name].extend(items)


def _integers_of(rows: ShadowRows) -> dict[str, Sequence[int]]:
    n = len(rows.request_ids)
    return {
        "position": rows.positions,
        "batch_mails": [n] * n,
        "production_batch_mails": [each.batch_mails for each in rows.production],
    }


def _texts_of(rows: ShadowRows) -> dict[str, Sequence[str]]:
    n = len(rows.request_ids)
    return {
        "request_id": rows.request_ids,
        "model_version": [rows.model_version] * n,
        "model_sha256": [rows.model_sha256] * n,
        "prediction": rows.predictions,
        "production_version": [each.model_version for each in rows.production],
        "production_sha256": [each.model_sha256 for each in rows.production],
        "production_prediction": [each.prediction for each in rows.production],
    }


def _doubles_of(rows: ShadowRows) -> dict[str, Sequence[float]]:
    return {
        "probability": rows.probabilities,
        "seconds": [rows.seconds] * len(rows.request_ids),
        "production_probability": [each.probability for each in rows.production],
        "production_seconds": [each.seconds for each in rows.production],
    }


def read_shadow(
    store: Store,
    environment: str,
    start: datetime,
    end: datetime,
    candidate_sha256: str | None = None,
    production_sha256: str | None = None,
) -> ShadowWindow:
    """Read the shadowed mails of a window, each once however often it was written.

    Args:
        store: Result of `open_shadow`.
        environment: Environment of the candidate.
        start: Beginning of the window, with a zone, like `end`.
        end: First moment after the window.
        candidate_sha256: Candidate whose rows to read; any by default.
        production_sha256: Production model whose rows to read; any by default.

    Raises:
        StoreError: If the store cannot be read.
        WindowError: If the window holds more than `WINDOW_ROWS` rows.
        ValueError: If the environment or the window is malformed.
    """
    window = read_rows(store, environment, start, end, shadow_schema())
    table = window.table.sort_by("time")
    ours = table
    for column, sha256 in (("model_sha256", candidate_sha256), ("production_sha256", production_sha256)):
        ours = ours if sha256 is None else ours.filter(pc.equal(ours[column].cast(pa.string()), sha256))
    once = _firsts(ours)
    again = ours.num_rows - once.num_rows
    contradictions = _contradictions(ours, once) if again else 0
    return ShadowWindow(
        table=once,
        files=window.files,
        unreadable=window.unreadable,
        misplaced=window.other_environment + window.other_hour,
        other_models=table.num_rows - ours.num_rows,
        duplicates=again,
        contradictions=contradictions,
    )


_MAIL = ["request_id", "position"]


def _firsts(table: pa.Table) -> pa.Table:
    """Return the first row of each mail, in the order of the table."""
    numbered = table.select(_MAIL).append_column("row", pa.array(np.arange(table.num_rows)))
    firsts = numbered.group_by(_MAIL).aggregate([("row", "min")])["row_min"]
    return table.take(firsts.combine_chunks().sort())


def _contradictions(table: pa.Table, once: pa.Table) -> int:
    """Return how many rows contradict the kept row of their mail in a prediction."""
    said = ["prediction", "production_prediction"]
    rows, kept = (
        each.select([*_MAIL, *said]).cast(
            pa.schema([*map(each.schema.field, _MAIL), *((name, pa.string()) for name in said)])
        )
        for each in (table, once)
    )
    joined = rows.join(kept, keys=_MAIL, right_suffix="_kept")
    differs = [pc.not_equal(joined[name], joined[f"{name}_kept"]) for name in said]
    return int(pc.sum(pc.or_(*differs)).as_py() or 0)
