"""Detectors of alibi-detect that are used here, imported without a warning.

alibi-detect 0.11.4 imports transformers, which otherwise complains on stderr that it finds no PyTorch.
"""

import os

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

from alibi_detect.cd import FETDrift, KSDrift

__all__ = ["FETDrift", "KSDrift"]
