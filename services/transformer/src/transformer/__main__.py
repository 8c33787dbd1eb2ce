"""Command `transformer`."""

from time import monotonic

import tracing
from oip import configure_logging, read_settings, serve
from transformer.inference_log import open_inference_log, open_shadow_log
from transformer.model import FeatureTransformer
from transformer.predictor_client import PredictorClient
from transformer.settings import Settings

TRACES_SECONDS = 2.0
"""How long the last spans may take at the end."""


def main() -> None:
    """Serve until SIGTERM, then write the last rows of the inference log."""
    configure_logging()
    settings, traced = read_settings(Settings), read_settings(tracing.Settings)
    tracer = tracing.start(traced, "transformer", settings.environment)
    predictor = PredictorClient(str(settings.predictor_url), settings.model_name, settings.predictor_timeout_seconds)
    inference_log, shadow_log = open_inference_log(settings), open_shadow_log(settings)
    model = FeatureTransformer(settings.model_name, predictor, inference_log, settings.spam_threshold, shadow_log)
    try:
        serve(model, settings, predictor.is_ready, tracer)
    finally:
        if tracer is not None:
            tracer.close(TRACES_SECONDS)
        # One time for both, as the pod's grace period has it.
        end = monotonic() + settings.inference_log_close_seconds
        inference_log.close(settings.inference_log_close_seconds)
        shadow_log.close(max(end - monotonic(), 0))


if __name__ == "__main__":
    main()
