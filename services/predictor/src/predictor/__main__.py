"""Command `predictor`: load the bundle, then serve it."""

import logging
import sys

from bundle import BundleError, load
from oip import configure_logging, read_settings, serve
from predictor.model import SpamModel
from predictor.settings import Settings

log = logging.getLogger("predictor")


def main() -> None:
    """Serve until SIGTERM; exit 1 with one line that says why when the bundle cannot be trusted."""
    configure_logging()
    settings = read_settings(Settings)
    try:
        bundle = load(settings.model_dir, settings.model_sha256)
    except BundleError as error:
        log.error("model refused", extra={"reason": str(error), "model_dir": str(settings.model_dir)})
        sys.exit(1)
    log.info("model loaded", extra={"version": bundle.manifest.version, "model_dir": str(settings.model_dir)})
    serve(SpamModel(settings.model_name, bundle, settings.max_rows), settings.http_port)


if __name__ == "__main__":
    main()
