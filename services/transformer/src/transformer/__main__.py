"""Command `transformer`: serve mail for one environment."""

import logging
import os
import sys
from time import monotonic
from typing import Any

from kserving import configure_logging, serve
from runtime import read_settings, tracing
from transformer.inference_log import InferenceLog, open_inference_log, open_shadow_log
from transformer.model import FeatureTransformer
from transformer.predictor_client import PredictorClient
from transformer.settings import TransformerSettings

TRACES_SECONDS = 2.0
"""Seconds to wait at shutdown for the last spans to be sent."""


def main() -> None:
    """Serve until SIGTERM, then write the last rows of the inference log."""
    configure_logging()
    settings, traced = read_settings(TransformerSettings), read_settings(tracing.TracingSettings)
    tracer = tracing.start(traced, "transformer", settings.environment)
    predictor = PredictorClient(str(settings.predictor_url), settings.model_name, settings.predictor_timeout_seconds)
    inference_log, shadow_log = open_inference_log(settings), open_shadow_log(settings)
    model = FeatureTransformer(settings.model_name, predictor, inference_log, settings.spam_threshold, shadow_log)
    try:
        serve(model, settings, predictor.is_ready, tracer)
    finally:
        if tracer is not None:
            tracer.close(TRACES_SECONDS)
        close_logs(settings.inference_log_close_seconds, inference_log, shadow_log)


def close_logs(seconds: float, *logs: InferenceLog[Any]) -> None:
    """Write the last rows of all logs within one common time limit, as the pod's grace period requires.

    If rows are left, a request to the store hangs, and Arrow's shutdown would wait 20 s for it. So the process ends
    here, after its last log lines, which say how many rows are lost.
    """
    end = monotonic() + seconds
    lost = sum(each.close(max(end - monotonic(), 0)).waiting for each in logs)
    if lost:
        logging.shutdown()
        os._exit(1 if sys.exception() else 0)


if __name__ == "__main__":
    main()
