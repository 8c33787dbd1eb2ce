"""KServe server as this project runs it, for models of the Open Inference Protocol v2.

Protocol: https://github.com/kserve/open-inference-protocol
"""

from kserving.errors import InvalidInput, Unavailable
from kserving.server import configure_logging, serve
from kserving.tensors import flag, integers, numbers, rows, strings, tensor

__all__ = [
    "InvalidInput",
    "Unavailable",
    "configure_logging",
    "flag",
    "integers",
    "numbers",
    "rows",
    "serve",
    "strings",
    "tensor",
]
