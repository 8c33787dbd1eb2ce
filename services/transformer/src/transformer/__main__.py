"""Command `transformer`."""

from time import monotonic

from kserve.predictor_config import PredictorConfig

import tracing
from oip import configure_logging, read_settings, serve
from transformer.inference_log import open_inference_log, open_shadow_log
from transformer.model import FeatureTransformer
from transformer.predictor_client import PredictorClient
from transformer.settings import Settings

PROBE_TIMEOUT_SECONDS = 2
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
        serve(model, settings.http_port, _probed(settings), tracer)
    finally:
        if tracer is not None:
            tracer.close(TRACES_SECONDS)
        # One time for both, as the pod's grace period has it.
        end = monotonic() + settings.inference_log_close_seconds
        inference_log.close(settings.inference_log_close_seconds)
        shadow_log.close(max(end - monotonic(), 0))


def _probed(settings: Settings) -> PredictorConfig:
    """For readiness, which asks the predictor too; `/v2/health/live` speaks for this process alone."""
    url = settings.predictor_url
    return PredictorConfig(
        predictor_host=f"{url.host}:{url.port}",
        predictor_protocol="v2",
        predictor_use_ssl=url.scheme == "https",
        predictor_request_timeout_seconds=PROBE_TIMEOUT_SECONDS,
        predictor_health_check=True,
    )


if __name__ == "__main__":
    main()
