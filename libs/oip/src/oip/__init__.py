"""Open Inference Protocol v2 for our KServe models.

Protocol: https://github.com/kserve/open-inference-protocol
"""

from oip.errors import InvalidInput, Unavailable
from oip.logs import configure_logging
from oip.server import add_error_handlers, serve
from oip.tensors import flag, integers, numbers, rows, strings, tensor

__all__ = [
    "InvalidInput",
    "Unavailable",
    "add_error_handlers",
    "configure_logging",
    "flag",
    "integers",
    "numbers",
    "rows",
    "serve",
    "strings",
    "tensor",
]
