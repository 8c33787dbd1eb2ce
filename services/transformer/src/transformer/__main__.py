"""Command `transformer`."""

from kserve.predictor_config import PredictorConfig

import tracing
from oip import configure_logging, read_settings, serve
from transformer.inference_log import open_inference_log
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
    inference_log = open_inference_log(settings)
    model = FeatureTransformer(settings.model_name, predictor, inference_log, settings.spam_threshold)
    try:
        serve(model, settings.http_port, _probed(settings), tracer)
    finally:
        if tracer is not None:
            tracer.close(TRACES_SECONDS)
        inference_log.close(settings.inference_log_close_seconds)


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
