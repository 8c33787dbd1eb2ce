"""The SDK's REST server, with a host, limits, and only the routes that a model needs."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from kserve.protocol.rest.server import RESTServer
from starlette.exceptions import HTTPException

from kserving.connection import connections

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


def rest_server(host: str, max_body_bytes: int) -> type[RESTServer]:
    """Return a REST server class that listens on this host and refuses larger bodies."""

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
