"""Features: the one implementation that turns mail into what the model sees, so training and serving cannot differ.

Its one dependency is a table of charset labels in pure Python, so any environment can install it.
"""

from features.extract import DESCRIPTIONS, NAMES, SCHEMA_VERSION, Features, extract
from features.seen import TEXT_LIMIT

__all__ = ["DESCRIPTIONS", "NAMES", "SCHEMA_VERSION", "TEXT_LIMIT", "Features", "extract"]
