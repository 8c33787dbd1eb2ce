"""KServe model server, configured as this project runs it."""

from typing import Protocol

import kserve.model_server
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kserve import Model, ModelServer
from kserve.model_server import app
from starlette.requests import ClientDisconnect

from kserving.errors import InvalidInput, Unavailable
from kserving.infer_path import InferPath, invalid, unavailable
from kserving.logs import configure_logging
from kserving.readiness import IsReady, ProbedDataPlane
from kserving.rest import rest_server
from runtime import spare_loaded_objects
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
    server.dataplane = ProbedDataPlane(server.registered_models, is_ready)
    # The server creates its REST server from this name; it has no option for host, limits or routes.
    kserve.model_server.RESTServer = rest_server(settings.http_host, settings.max_body_bytes)
    # Repeated, since the server has just installed its own configuration.
    configure_logging()
    add_error_handlers()
    _put_first(InferPath, model, tracer)
    spare_loaded_objects()
    server.start([model])


def add_error_handlers() -> None:
    """Answer errors as the protocol defines: `{"error": …}`, and 400 for unreadable requests.

    By default the SDK answers unreadable requests with FastAPI's 422 and logs a traceback for each of its own input
    errors. That is why this project has its own error classes.
    """
    app.add_exception_handler(InvalidInput, _invalid)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(ClientDisconnect, _gone)


def _put_first(middleware: type[InferPath], model: Model, tracer: Tracer | None) -> None:
    """Wrap a middleware around all others, including those that the SDK adds when it starts."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: middleware(build(), model, tracer)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidInput)
    return invalid(error)


async def _gone(_: Request, __: Exception) -> Response:
    # Nobody reads this answer: the client has gone, or the connection has refused its body.
    return Response(status_code=499)


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Unavailable)
    return unavailable(error, request.headers.get("x-request-id"))


async def _unreadable(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"])
    return invalid(InvalidInput(f"not an Open Inference Protocol v2 request: {where}: {first['msg']}"))
