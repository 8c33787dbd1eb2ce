"""The inference log, the baselines made of it, and other rows about scored mail: one schema for who writes and reads.

Pure pyarrow, so that services whose other libraries exclude each other can share it.
"""

from inferencelog.baseline import Baseline, read_baseline, write_baseline
from inferencelog.chunk import Rows
from inferencelog.errors import BaselineError, EvaluationError, LogError, StoreError
from inferencelog.reader import Window, newest_time, read_window
from inferencelog.schema import ENVIRONMENT_PATTERN, MEASURES, SCORE, schema
from inferencelog.scored import EVALUATION_NAME, ScoredCorpus, read_scored, write_scored
from inferencelog.shadow import (
    Answer,
    Prediction,
    ShadowChunk,
    ShadowRows,
    ShadowWindow,
    open_shadow,
    read_shadow,
    shadow_schema,
)
from inferencelog.store import Store, open_store, split_file
from inferencelog.writer import Limits, Stats, Writer

__all__ = [
    "ENVIRONMENT_PATTERN",
    "EVALUATION_NAME",
    "MEASURES",
    "SCORE",
    "Answer",
    "Baseline",
    "BaselineError",
    "EvaluationError",
    "Limits",
    "LogError",
    "Prediction",
    "Rows",
    "ScoredCorpus",
    "ShadowChunk",
    "ShadowRows",
    "ShadowWindow",
    "Stats",
    "Store",
    "StoreError",
    "Window",
    "Writer",
    "newest_time",
    "open_shadow",
    "open_store",
    "read_baseline",
    "read_scored",
    "read_shadow",
    "read_window",
    "schema",
    "shadow_schema",
    "split_file",
    "write_baseline",
    "write_scored",
]
