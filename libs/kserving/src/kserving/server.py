"""KServe model server, configured as this project runs it."""

from typing import Protocol

from kserve import Model, ModelServer

import runtime
from kserving import patches
from kserving.infer_path import InferPath
from kserving.patches import IsReady
from runtime.tracing import Tracer


class ServerSettings(Protocol):
    """Settings that every model server has."""

    @property
    def http_host(self) -> str:
        """Return the address to listen on."""

    @property
    def http_port(self) -> int:
        """Return the TCP port to listen on."""

    @property
    def max_body_bytes(self) -> int:
        """Return the bytes of the largest body."""


async def _always() -> bool:
    return True


def configure_logging() -> None:
    """Log one JSON object a line on stdout, whatever handlers KServe and uvicorn have installed."""
    patches.quiet_logs(runtime.configure_logging())


def serve(model: Model, settings: ServerSettings, is_ready: IsReady = _always, tracer: Tracer | None = None) -> None:
    """Serve one model over REST until SIGTERM or SIGINT; finish requests in flight.

    It runs one worker, without gRPC and latency log lines. The SDK loses its predictor settings in further workers, and
    its four lines for each request cost a third of a request.

    Args:
        model: A model that is ready.
        settings: Address, port and body limit.
        is_ready: Returns whether the model's dependencies are ready, such as a transformer's predictor.
        tracer: Records requests that the previous hop sent with a sampled span.
    """
    server = ModelServer(
        http_port=settings.http_port,
        workers=1,
        enable_grpc=False,
        enable_latency_logging=False,
    )
    patches.replace_data_plane(server, is_ready)
    patches.replace_rest_server(settings.http_host, settings.max_body_bytes)
    # Repeated, since the server has just installed its own configuration.
    configure_logging()
    patches.add_error_handlers()
    patches.put_first(lambda app: InferPath(app, model, tracer))
    runtime.spare_loaded_objects()
    server.start([model])
