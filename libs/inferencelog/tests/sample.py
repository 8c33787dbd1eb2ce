"""Sample rows to write."""

import features
from inferencelog import Rows


def rows(n: int, first: int = 0, version: str = "v1", sha256: str = "abc") -> Rows:
    """Return rows that request id, first feature and score tell apart."""
    numbers = range(first, first + n)
    values = [(float(i), *[0.5] * (len(features.NAMES) - 1)) for i in numbers]
    return Rows([f"r{i}" for i in numbers], values, [(i % 1000) / 1000 for i in numbers], version, sha256)
