"""Inference log, its baselines, and other rows about scored mail: one schema for writers and readers.

It needs only pyarrow, so services whose other libraries exclude each other can share it.
"""

from inferencelog.baseline import Baseline, read_baseline, read_baseline_file, write_baseline
from inferencelog.chunk import Rows
from inferencelog.errors import BaselineError, EvaluationError, LogError, StoreError, WindowError
from inferencelog.reader import WINDOW_ROWS, Window, newest_time, read_window
from inferencelog.schema import ENVIRONMENT_PATTERN, MEASURES, SCORE, schema
from inferencelog.scored import EVALUATION_NAME, ScoredCorpus, read_scored, write_scored
from inferencelog.shadow import (
    Prediction,
    ProductionAnswer,
    ShadowChunk,
    ShadowRows,
    ShadowWindow,
    open_shadow,
    read_shadow,
    shadow_schema,
)
from inferencelog.store import Store, open_store, split_file
from inferencelog.text import is_plain, one_line, printable
from inferencelog.writer import Stats, Writer, WriterLimits

__all__ = [
    "ENVIRONMENT_PATTERN",
    "EVALUATION_NAME",
    "MEASURES",
    "SCORE",
    "WINDOW_ROWS",
    "Baseline",
    "BaselineError",
    "EvaluationError",
    "LogError",
    "Prediction",
    "ProductionAnswer",
    "Rows",
    "ScoredCorpus",
    "ShadowChunk",
    "ShadowRows",
    "ShadowWindow",
    "Stats",
    "Store",
    "StoreError",
    "Window",
    "WindowError",
    "Writer",
    "WriterLimits",
    "is_plain",
    "newest_time",
    "one_line",
    "open_shadow",
    "open_store",
    "printable",
    "read_baseline",
    "read_baseline_file",
    "read_scored",
    "read_shadow",
    "read_window",
    "schema",
    "shadow_schema",
    "split_file",
    "write_baseline",
    "write_scored",
]
