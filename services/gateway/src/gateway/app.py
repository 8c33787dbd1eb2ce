"""The application: everything put together, opened and closed by its lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import orjson
from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Lifespan, Receive, Scope, Send

from gateway.access_log import AccessLog, LineBuffer
from gateway.api import Api
from gateway.coalescer import Coalescer, Limits
from gateway.explain import Explain
from gateway.metrics import observe_request
from gateway.page import page_routes
from gateway.predict_path import PredictPath
from gateway.problems import Problem
from gateway.readiness import Readiness
from gateway.settings import Settings
from gateway.transformer_client import TransformerClient, open_session
from replicas import Replicas

CLIENT_CLOSED_REQUEST = 499


class GatewayApp(FastAPI):
    """FastAPI behind our own middleware, so that predict requests never enter the framework."""

    def __init__(self, settings: Settings, environments: dict[str, Coalescer], lifespan: Lifespan[FastAPI]) -> None:
        super().__init__(title="Spam detector", version="1", lifespan=lifespan)
        api = Api(settings, environments)
        self.include_router(api.router())
        self.include_router(Explain(settings, api).router())
        self.router.routes.extend(page_routes(settings))
        self._lines = LineBuffer()
        self._outermost = AccessLog(PredictPath(super().__call__, api), self._lines)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Request ids and log lines first, then the short way for predict requests, then the framework."""
        await self._outermost(scope, receive, send)
        if scope["type"] == "lifespan":
            self._lines.flush()


def create_app(settings: Settings) -> GatewayApp:
    """The gateway for these settings."""
    clients: dict[str, TransformerClient] = {}
    environments: dict[str, Coalescer] = {}
    readiness = Readiness(clients)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with open_session() as session:
            for name, url in settings.environments.items():
                clients[name] = TransformerClient(name, Replicas(str(url)), settings.model_name, session)
                environments[name] = Coalescer(clients[name], Limits.of(settings))
            async with readiness.watched():
                yield

    app = GatewayApp(settings, environments, lifespan)
    _add_probes(app, readiness)
    _add_error_handlers(app)
    _instrument(app)
    return app


def _add_probes(app: FastAPI, readiness: Readiness) -> None:
    @app.get("/health", tags=["probes"])
    async def health() -> dict[str, str]:
        """Whether the process is alive."""
        return {"status": "alive"}

    @app.get("/ready", tags=["probes"])
    async def ready() -> Response:
        """Which environments can be served; 503 when none can."""
        states = await readiness.check()
        named = {name: "ready" if state else "unreachable" for name, state in states.items()}
        some = any(states.values())
        body = {"status": "ready" if some else "unready", "environments": named}
        status = HTTPStatus.OK if some else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(orjson.dumps(body), status.value, media_type="application/json")


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return error.response(request)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        response = Problem(HTTPStatus(error.status_code), "http", str(error.detail)).response(request)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)


def _instrument(app: FastAPI) -> None:
    instrumentator = Instrumentator(
        should_group_status_codes=False, excluded_handlers=["/metrics", "/health", "/ready"]
    )
    instrumentator.add(observe_request).instrument(app).expose(app, tags=["probes"])
