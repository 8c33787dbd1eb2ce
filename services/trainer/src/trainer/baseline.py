"""`baseline.parquet`: what mail and scores looked like in training, for the drift job to compare with."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

import features
from trainer.corpus import Corpus
from trainer.evaluate import Floats

SCORE_COLUMN = "spam_probability"
BASELINE_NAME = "baseline.parquet"


def baseline(corpus: Corpus, scores: Floats, metadata: dict[str, str]) -> bytes:
    """Named numbers and out-of-fold scores [n] as Parquet.

    Scores of the model on its own training mails would be too sure, and all later mail would look like drift.

    Args:
        metadata: Kept in the file's schema, so that a baseline of another model can be refused.
    """
    columns = {name: corpus.values[:, place] for place, name in enumerate(features.NAMES)}
    rows = pa.table({**columns, SCORE_COLUMN: scores})
    rows = rows.replace_schema_metadata({**metadata, "rows": str(len(scores))})
    target = io.BytesIO()
    pq.write_table(rows, target, compression="zstd")
    return target.getvalue()
