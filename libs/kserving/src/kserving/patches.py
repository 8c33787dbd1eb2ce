"""Patches of the KServe SDK 0.21.0: everything in which this project replaces the SDK's own objects.

A new version of the SDK must be compared with this list:

- REST server: a subclass replaces `kserve.model_server.RESTServer`, since `ModelServer` has no option for host, limits
  or routes. It sets attributes of its uvicorn `config` and overrides the private `_register_endpoints`.
- Routes: only those in `ROUTES` are registered, because others let any client unload the model.
- Readiness: `ProbedDataPlane` replaces `ModelServer.dataplane`, since the SDK asks the predictor again for each probe.
- Middleware: `put_first` wraps `build_middleware_stack` of `kserve.model_server.app`. The SDK adds its own middleware
  when it starts, and the fast path for inference must come before it.
- Errors: `kserve.model_server.app` gets further handlers. The SDK answers unreadable requests with FastAPI's 422 and
  logs a traceback for each of its own input errors.
- Logs: the handlers of the SDK and uvicorn are removed, since their lines are not JSON. A filter drops tracebacks of
  refused requests.
"""

import logging
import warnings
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import kserve.model_server
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import FastAPIDeprecationWarning, RequestValidationError
from fastapi.responses import JSONResponse
from kserve import ModelRepository, ModelServer
from kserve.errors import InvalidInput as SdkInvalidInput
from kserve.errors import ModelNotFound, ModelNotReady, ServerNotReady
from kserve.model_server import app
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.server import RESTServer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from kserving.connections import connections
from kserving.errors import InvalidInput, Unavailable
from kserving.infer_path import invalid, unavailable

CLIENT_CLOSED_REQUEST = 499

ROUTES = frozenset(
    {
        "/metrics",
        "/v1/models",
        "/v1/models/{model_name}",
        "/v1/models/{model_name}:predict",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models",
        "/v2/models/{model_name}",
        "/v2/models/{model_name}/ready",
        "/v2/models/{model_name}/infer",
        # These answer that versions are not supported, which says more than a 404.
        "/v2/models/{model_name}/versions/{model_version}",
        "/v2/models/{model_name}/versions/{model_version}/ready",
        "/v2/models/{model_name}/versions/{model_version}/infer",
    }
)
"""Routes that a model server keeps: those of the protocol, and metrics.

Among the SDK's others, `/v2/repository/…` lets any client unload the model, `:explain` and `/` do nothing here, and
`/openapi.json` describes them all.
"""

# Raised by the SDK for requests that it cannot serve. The client gets an answer and may send any number of them.
REFUSALS = (SdkInvalidInput, ModelNotFound, ModelNotReady, ServerNotReady, NotImplementedError)
LEVELS = {
    "httpx": "WARNING",
    "kserve": "WARNING",
    "kserve.trace": "WARNING",
    "uvicorn": "INFO",
    "uvicorn.access": "CRITICAL",
}

IsReady = Callable[[], Awaitable[bool]]


# REST server and routes


def replace_rest_server(host: str, max_body_bytes: int) -> None:
    """Make servers that start later listen on this host, refuse larger bodies and serve only `ROUTES`."""
    kserve.model_server.RESTServer = _rest_server(host, max_body_bytes)


def _rest_server(host: str, max_body_bytes: int) -> type[RESTServer]:
    class Server(RESTServer):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            # uvicorn reads these when it starts.
            self.config.host = host
            self.config.http = connections(max_body_bytes)
            self.config.ws = "none"
            self.config.server_header = False
            self.config.proxy_headers = False

        def _register_endpoints(self, app: FastAPI) -> None:
            # Removes FastAPI's own routes: the API description and its pages.
            app.router.routes.clear()
            super()._register_endpoints(Kept(app))
            app.add_exception_handler(HTTPException, _http_error)

    return Server


class Kept:
    """Stand-in for the application to which the SDK adds its routes; it passes on only those in `ROUTES`."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def include_router(self, router: APIRouter) -> None:
        """Add the router's routes that are kept."""
        router.routes[:] = [route for route in router.routes if getattr(route, "path", "") in ROUTES]
        self._app.include_router(router)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path}: {error.detail}"
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail += "; see the Open Inference Protocol v2"
    return JSONResponse({"error": detail}, error.status_code, error.headers)


# Readiness


def replace_data_plane(server: ModelServer, is_ready: IsReady) -> None:
    """Make the server answer probes by this check of its models' dependencies."""
    server.dataplane = ProbedDataPlane(server.registered_models, is_ready)


class ProbedDataPlane(DataPlane):  # type: ignore[misc]
    """The SDK's answers to probes of both protocols, with our own check of the dependency.

    For each probe, the SDK asks the predictor again, through one client of 100 connections whose queue it scans for
    each waiting request. A few thousand probes at once blocked the event loop for minutes, and mail with it.

    Args:
        model_registry: The models of the server.
        is_ready: Returns whether the models' dependencies are ready.
    """

    def __init__(self, model_registry: ModelRepository, is_ready: IsReady) -> None:
        super().__init__(model_registry)
        self._is_ready = is_ready

    async def ready(self) -> bool:
        """Return whether there are models, all are ready, and their dependencies are too."""
        models = list(self.model_registry.get_models().values())
        return bool(models) and all(model.ready for model in models) and await self._is_ready()

    async def model_ready(self, model_name: str, disable_predictor_health_check: bool = False) -> bool:
        """Return whether a model is ready. Inference requests check the model alone.

        Raises:
            ModelNotFound: The model is unknown.
        """
        own: bool = await super().model_ready(model_name, disable_predictor_health_check=True)
        return own and (disable_predictor_health_check or await self._is_ready())


# Middleware


def put_first(middleware: Callable[[ASGIApp], ASGIApp]) -> None:
    """Wrap a middleware around all others, including those that the SDK adds when it starts."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: middleware(build())


# Errors


def add_error_handlers() -> None:
    """Answer errors as the protocol defines: `{"error": …}`, and 400 for unreadable requests.

    The SDK's own error classes would log tracebacks, so this project has its own.
    """
    app.add_exception_handler(InvalidInput, _invalid)
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(ClientDisconnect, _gone)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidInput)
    return invalid(error)


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Unavailable)
    return unavailable(error, request.headers.get("x-request-id"))


async def _unreadable(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"])
    return invalid(InvalidInput(f"not an Open Inference Protocol v2 request: {where}: {first['msg']}"))


async def _gone(_: Request, __: Exception) -> Response:
    # Nobody reads this answer: the client has gone, or the connection has refused its body.
    return Response(status_code=CLIENT_CLOSED_REQUEST)


# Logs


class NoRefusals(logging.Filter):
    """Filter that drops the traceback which the SDK logs for each refused request and each early probe."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to keep the record."""
        return not (record.exc_info and isinstance(record.exc_info[1], REFUSALS))


NO_REFUSALS = NoRefusals()


def quiet_logs(handler: logging.Handler) -> None:
    """Remove the handlers and most lines of the SDK and uvicorn; the root's `handler` formats the rest."""
    handler.addFilter(NO_REFUSALS)
    for name, level in LEVELS.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(level)
        logger.propagate = True
    # uvicorn would format an access line if any logger above it has a handler.
    logging.getLogger("uvicorn.access").propagate = False
    # The SDK triggers this warning at its first request; it cannot be fixed here.
    warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)
