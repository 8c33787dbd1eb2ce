"""The one place that turns mail into what the model sees: training and serving cannot skew.

Pure standard library, so that every environment can hold it.
"""

from features.extract import DESCRIPTIONS, NAMES, SCHEMA_VERSION, Features, extract
from features.mime import TEXT_LIMIT

__all__ = ["DESCRIPTIONS", "NAMES", "SCHEMA_VERSION", "TEXT_LIMIT", "Features", "extract"]
