"""Command `predictor`: load the bundle, then serve it."""

import logging
import sys

from bundle import BundleError, load
from kserving import configure_logging, serve
from predictor.model import SpamModel
from predictor.settings import PredictorSettings
from runtime import read_settings, tracing

log = logging.getLogger("predictor")

TRACES_SECONDS = 2.0
"""Seconds to wait at shutdown for the last spans to be sent."""


def main() -> None:
    """Serve until SIGTERM. If the bundle cannot be trusted, exit 1 with one line that says why."""
    configure_logging()
    settings, traced = read_settings(PredictorSettings), read_settings(tracing.TracingSettings)
    try:
        bundle = load(settings.model_dir, settings.model_sha256)
    except BundleError as error:
        log.error("model refused", extra={"reason": str(error), "model_dir": str(settings.model_dir)})
        sys.exit(1)
    log.info("model loaded", extra={"version": bundle.manifest.version, "model_dir": str(settings.model_dir)})
    tracer = tracing.start(traced, "predictor")
    try:
        serve(SpamModel(settings.model_name, bundle, settings.max_rows), settings, tracer=tracer)
    finally:
        if tracer is not None:
            tracer.close(TRACES_SECONDS)


if __name__ == "__main__":
    main()
