"""Runtime shared by all processes: logging, settings errors, and masking of API keys.

`runtime.tracing` needs the extra `runtime[tracing]`, which only servers install.
"""

from runtime.batch import configure_batch_logging, print_result
from runtime.lines import Lines
from runtime.logs import configure_logging, end_at_sigterm, stdout
from runtime.secrets import masked, masked_text
from runtime.settings import read_settings, refuse_settings, settings_fault

__all__ = [
    "Lines",
    "configure_batch_logging",
    "configure_logging",
    "end_at_sigterm",
    "masked",
    "masked_text",
    "print_result",
    "read_settings",
    "refuse_settings",
    "settings_fault",
    "stdout",
]
