"""The inference log and the baselines made of it: one schema for who writes and who reads.

Pure pyarrow, so that services whose other libraries exclude each other can share it.
"""

from inferencelog.baseline import Baseline, read_baseline, write_baseline
from inferencelog.chunk import Rows
from inferencelog.errors import BaselineError, LogError, StoreError
from inferencelog.reader import Window, newest_time, read_window
from inferencelog.schema import ENVIRONMENT_PATTERN, MEASURES, SCORE, schema
from inferencelog.store import Store, open_store, split_file
from inferencelog.writer import Limits, Stats, Writer

__all__ = [
    "ENVIRONMENT_PATTERN",
    "MEASURES",
    "SCORE",
    "Baseline",
    "BaselineError",
    "Limits",
    "LogError",
    "Rows",
    "Stats",
    "Store",
    "StoreError",
    "Window",
    "Writer",
    "newest_time",
    "open_store",
    "read_baseline",
    "read_window",
    "schema",
    "split_file",
    "write_baseline",
]
