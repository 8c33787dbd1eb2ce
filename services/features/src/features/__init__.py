"""The one place that turns mail into what the model sees: training and serving cannot skew.

Pure standard library, so that every environment can hold it.
"""

from features.extract import DESCRIPTIONS, NAMES, SCHEMA_VERSION, Features, extract

__all__ = ["DESCRIPTIONS", "NAMES", "SCHEMA_VERSION", "Features", "extract"]
