"""Runtime shared by all processes: logging, settings errors, garbage collection, and masking of API keys.

Servers also import `runtime.periodic`, `runtime.pauses` and `runtime.tracing`. They are not imported here, since batch
programs need neither asyncio nor OpenTelemetry; the latter comes with the extra `runtime[tracing]`.
"""

from runtime.batch import configure_batch_logging, print_result
from runtime.garbage import spare_loaded_objects
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
    "spare_loaded_objects",
    "stdout",
]
