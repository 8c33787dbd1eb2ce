"""Fast path for predict requests, in front of the framework.

FastAPI's routing, dependencies and exit stacks, and the instrumentator's look at each request, cost more than all other
work of a predict request here. So this module answers `POST /api/v1/predict` with the endpoint that FastAPI documents,
and counts the request where the instrumentator counts every other one.
"""

from http import HTTPStatus
from time import perf_counter

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.request_record import record_of
from gateway.metrics import RequestMetrics
from gateway.routing.api import PREDICT_PATH, Api


class PredictPath:
    """ASGI middleware that answers predict requests and passes all others on."""

    def __init__(self, app: ASGIApp, api: Api, metrics: RequestMetrics) -> None:
        self._app = app
        self._api = api
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] != PREDICT_PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        request = Request(scope, receive)
        try:
            response = await self._api.predict(request)
        except ClientDisconnect:
            return
        except Exception:
            # The access log answers it, like every bug; the framework counts it as a 500 too.
            self._count(scope, HTTPStatus.INTERNAL_SERVER_ERROR.value, perf_counter() - started)
            raise
        await response(scope, receive, send)
        self._count(scope, response.status_code, perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        environment = record_of(scope).environment or ""
        self._metrics.seconds_of(environment, PREDICT_PATH, "POST", str(status)).observe(seconds)
