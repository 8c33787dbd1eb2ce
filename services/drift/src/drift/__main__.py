"""Command line of `drift-detector`."""

import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from drift.errors import DriftError
from drift.settings import DriftSettings, read_settings
from inferencelog import LogError
from runtime import configure_batch_logging, settings_fault

log = logging.getLogger("drift")

DONE, FAILED, REFUSED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare once and return the exit code: 0 compared, 1 failed, 2 wrong settings."""
    configure_batch_logging()
    try:
        settings = read_settings(arguments)
    except ValidationError as error:
        log.error("settings refused", extra={"reason": settings_fault(error)})
        return REFUSED
    try:
        run(settings, datetime.now(UTC))
    except (DriftError, LogError) as error:
        log.error("drift detection failed", extra={"reason": str(error), "environment": settings.environment})
        return FAILED
    except Exception:
        log.exception("drift detection failed", extra={"environment": settings.environment})
        return FAILED
    return DONE


def run(settings: DriftSettings, now: datetime) -> None:
    """Compare, then write the report, log the result and push the gauges, in this order.

    Raises:
        DriftError: If the comparison cannot be made, or if the gauges cannot be pushed.
        LogError: If the log or the baseline cannot be read, or if the report cannot be written.
    """
    # Import late: alibi-detect takes two seconds, which `--help` and refused settings need not wait for.
    from drift.detector import detect
    from drift.gauges import push
    from drift.report import write

    result = detect(settings, now)
    write(result, settings.report_root)
    if result.clock_skew_seconds:
        skew = {"environment": result.environment, "clock_skew_seconds": result.clock_skew_seconds}
        log.warning("clock skew: the newest row of the log lies in the future", extra=skew)
    log.info("drift", extra=result.summary())
    if settings.pushgateway_url:
        push(result, settings.pushgateway_url)


if __name__ == "__main__":
    sys.exit(main())
