"""Parts that every process shares: so far its log."""

from runtime.batch import configure_batch_logging, print_result
from runtime.lines import Lines
from runtime.logs import configure_logging, end_at_sigterm, stdout

__all__ = ["Lines", "configure_batch_logging", "configure_logging", "end_at_sigterm", "print_result", "stdout"]
