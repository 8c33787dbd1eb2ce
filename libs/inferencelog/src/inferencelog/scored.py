"""Scored corpus: out-of-fold scores of a model, so that two models can be compared mail by mail."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from inferencelog.bounded import read_bounded
from inferencelog.errors import EvaluationError
from inferencelog.text import is_plain, one_line

EVALUATION_NAME = "evaluation.parquet"
"""Name of the file in a model's bundle."""

_SCHEMA = pa.schema(
    [
        pa.field("mail_sha256", pa.string()),
        pa.field("spam", pa.bool_()),
        pa.field("fold", pa.int32()),
        pa.field("spam_probability", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class ScoredCorpus:
    """Mails of a corpus [n] in its own order, each scored by a model that was fitted without the mail's fold."""

    mails: list[str]
    """SHA-256 (hex) of each mail [n]."""
    spam: NDArray[np.int_]
    """1 for spam, 0 for ham [n]."""
    folds: NDArray[np.int_]
    """Fold that each mail was left out with [n]."""
    scores: NDArray[np.float64]
    """Spam probabilities [n], 0 to 1."""
    model_file_sha256: str
    """SHA-256 (hex) of the final model's file; that model was fitted in the same way on all mails."""
    corpus_digest: str


def write_scored(scored: ScoredCorpus) -> bytes:
    """Return the scores as a Parquet file."""
    columns = [pa.array(scored.mails), pa.array(scored.spam.astype(bool)), scored.folds.astype(np.int32), scored.scores]
    table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=_SCHEMA)
    metadata = {"model_file_sha256": scored.model_file_sha256, "corpus_digest": scored.corpus_digest}
    target = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), target, compression="zstd")
    return target.getvalue()


def read_scored(data: bytes, name: str) -> ScoredCorpus:
    """Return the scores in the content of a Parquet file.

    Args:
        data: Result of `write_scored`.
        name: Name of the file, for error messages.

    Raises:
        EvaluationError: If it holds no scores.
    """
    try:
        table = read_bounded(pa.py_buffer(data), _SCHEMA)
        metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        return _scored(table, metadata)
    except Exception as error:  # pyarrow reports a corrupt file by many kinds of errors
        why = one_line(f"{type(error).__name__}: {error}")
        raise EvaluationError(f"{name} holds no scores of a corpus: {why}; train the bundle anew") from error


def _scored(table: pa.Table, metadata: dict[str, Any]) -> ScoredCorpus:
    if any(column.null_count for column in table.columns):
        raise ValueError("a column has missing values")
    scores = table["spam_probability"].to_numpy()
    if not ((scores >= 0) & (scores <= 1)).all():  # NaN fails both comparisons
        raise ValueError("spam_probability must be 0 to 1")
    # Bundles made before releases pinned model.json use the other name.
    named = metadata.get("model_file_sha256") or metadata["model_sha256"]
    for name, text in (("model_file_sha256", named), ("corpus_digest", metadata["corpus_digest"])):
        if text and not is_plain(text):
            raise ValueError(f"{name} must be one line of printable characters, is {text!r}")
    return ScoredCorpus(
        mails=table["mail_sha256"].to_pylist(),
        spam=table["spam"].to_numpy().astype(np.int_),
        folds=table["fold"].to_numpy().astype(np.int_),
        scores=scores,
        model_file_sha256=named,
        corpus_digest=metadata["corpus_digest"],
    )
