"""Features: the one implementation that turns mail into what the model sees, so training and serving cannot differ.

It uses only the standard library, so any environment can install it.
"""

from features.extract import DESCRIPTIONS, NAMES, SCHEMA_VERSION, Features, extract
from features.seen import TEXT_LIMIT

__all__ = ["DESCRIPTIONS", "NAMES", "SCHEMA_VERSION", "TEXT_LIMIT", "Features", "extract"]
