"""The SDK's REST server, with a host, limits, and only the routes that a model needs."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from kserve.protocol.rest.server import RESTServer
from starlette.exceptions import HTTPException

from oip.connection import connections

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
        # Answered that versions are not supported, which says more than that there is nothing.
        "/v2/models/{model_name}/versions/{model_version}",
        "/v2/models/{model_name}/versions/{model_version}/ready",
        "/v2/models/{model_name}/versions/{model_version}/infer",
    }
)
"""What the protocol has, and metrics.

Of the SDK's others, `/v2/repository/…` lets any client take the model away, `:explain` and `/` do nothing here, and
`/openapi.json` describes them all.
"""


def rest_server(host: str, max_body_bytes: int) -> type[RESTServer]:
    """Return the class of REST servers that listen at this host and refuse larger bodies."""

    class Server(RESTServer):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            # Read by uvicorn when it starts.
            self.config.host = host
            self.config.http = connections(max_body_bytes)
            self.config.ws = "none"
            self.config.server_header = False
            self.config.proxy_headers = False

        def _register_endpoints(self, app: FastAPI) -> None:
            # FastAPI's own: the description of the API, and its pages.
            app.router.routes.clear()
            super()._register_endpoints(Kept(app))
            app.add_exception_handler(HTTPException, _http_error)

    return Server


class Kept:
    """Takes the place of an application to which the SDK adds its routes; only those in `ROUTES` reach it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def include_router(self, router: APIRouter) -> None:
        """Add the router's routes."""
        router.routes[:] = [route for route in router.routes if getattr(route, "path", "") in ROUTES]
        self._app.include_router(router)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = f"{request.method} {request.url.path}: {error.detail}"
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail += "; see the Open Inference Protocol v2"
    return JSONResponse({"error": detail}, error.status_code, error.headers)
