"""The application: wires all parts together and opens and closes them in its lifespan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_fastapi_instrumentator.metrics import Info
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Lifespan, Receive, Scope, Send

from gateway.access.callers import SECURITY_SCHEMES, Access
from gateway.experiments.assignment import Experiment
from gateway.experiments.comparison import Comparison
from gateway.http.access_log import AccessLog
from gateway.http.request_record import record_of
from gateway.http.turns import Turns
from gateway.metrics import Metrics, RequestMetrics
from gateway.page import page_routes
from gateway.page.docs import docs_routes
from gateway.predictions.environment import Environment
from gateway.predictions.predict import Predictions
from gateway.predictions.queue import QueueLimits
from gateway.predictions.readiness import KEPT_SECONDS, Readiness
from gateway.predictions.transformer_client import TransformerClient
from gateway.problems import Problem
from gateway.routing.api import Api
from gateway.routing.early_refusals import EarlyRefusals
from gateway.routing.explain import Explain
from gateway.routing.metrics_page import MetricsPage
from gateway.routing.openapi import (
    PROBE_STATUSES,
    Alive,
    described_request_id,
    metrics_responses,
    problem_responses,
    ready_responses,
    with_components,
)
from gateway.routing.predict_path import PredictPath
from gateway.routing.side_path import LiveAnswer, SidePath
from gateway.settings import GatewaySettings
from inference import Replicas, open_session
from runtime import stdout
from runtime.tracing import Tracer

CLIENT_CLOSED_REQUEST = 499
SIDE_REQUESTS_IN_A_TURN = 2
"""Requests other than mail, and refusals, that one turn of the event loop answers: under a millisecond of work."""
SIDE_PAUSE_SECONDS = 0.002
"""Seconds between two such turns.

1,000 requests a second are more than probes, scrapes and people make, and a flood of them takes a tenth of a core from
mail.
"""
TRACES_SECONDS = 2.0
"""Seconds to wait at shutdown for the last spans to be sent."""
ALIVE = Alive(status="alive").model_dump_json().encode()


class GatewayApp(FastAPI):
    """FastAPI behind this gateway's middleware, so that predict requests never enter the framework."""

    def __init__(
        self,
        settings: GatewaySettings,
        environments: dict[str, Environment],
        access: Access | None,
        metrics: Metrics,
        answers: dict[str, LiveAnswer],
        lifespan: Lifespan[FastAPI],
        tracer: Tracer | None = None,
        experiment: Experiment | None = None,
    ) -> None:
        # FastAPI's documentation pages load scripts from a CDN; `docs_routes` serves everything from here.
        super().__init__(
            title="Spam detector", version="1", lifespan=lifespan, redirect_slashes=False, docs_url=None, redoc_url=None
        )
        self._access = access
        self.metrics = metrics
        turns = Turns(SIDE_REQUESTS_IN_A_TURN, SIDE_PAUSE_SECONDS)
        api = Api(settings, environments, Predictions(experiment), turns, access)
        self.include_router(api.router())
        self.include_router(Explain(settings, api).router())
        self.router.routes.extend([*page_routes(settings), *docs_routes()])
        # Every request passes the access log, then the early refusals, before its body is read.
        predict_path = PredictPath(super().__call__, api, metrics.requests)
        side_path = SidePath(predict_path, self.router.routes, answers, turns, metrics.requests)
        self.early_refusals = EarlyRefusals(side_path, environments, settings, metrics.requests)
        self._outermost = AccessLog(self.early_refusals, stdout(), turns, metrics.requests, tracer)
        _add_error_handlers(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request: access log first, then the fast path for predict requests, then the framework."""
        if b"%" in scope.get("raw_path", b""):
            # No route needs an escape. Decoded, a path that ends in %0A would match a route but not the fast path.
            scope["path"] = scope["raw_path"].decode("ascii", "backslashreplace")
        await self._outermost(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with the ways to send a key if keys are required."""
        if not self.openapi_schema:
            with_components(super().openapi(), SECURITY_SCHEMES if self._access else None)
        assert self.openapi_schema is not None
        return self.openapi_schema


def create_app(settings: GatewaySettings, metrics: Metrics | None = None, tracer: Tracer | None = None) -> GatewayApp:
    """Return the gateway for these settings.

    Args:
        settings: The settings.
        metrics: Metrics to count in; by default some of its own.
        tracer: Tracer of sampled requests, if any are traced.

    Raises:
        ApiKeysError: The configured file of API keys cannot be used.
    """
    metrics = metrics or Metrics()
    comparison = Comparison()
    metrics.registry.register(comparison)
    file = settings.api_keys_file
    access = None if file is None else Access(file, list(settings.environments), metrics.keys)
    clients: dict[str, TransformerClient] = {}
    environments: dict[str, Environment] = {}
    readiness = Readiness(clients, metrics.environments, KEPT_SECONDS)
    experiment = Experiment(settings, metrics, comparison) if settings.experiments else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with open_session() as session:
            for name, url in settings.environments.items():
                replicas = Replicas(str(url))
                client = TransformerClient(name, replicas, settings.model_name, session, metrics.environments)
                clients[name] = client
                environments[name] = Environment(client, QueueLimits.of(settings), metrics.environments)
            tried = experiment.opened(environments, session) if experiment else nullcontext()
            async with readiness.watched(), access.watched() if access else nullcontext(), tried:
                yield
        # Close here: uvicorn re-raises the signal that stopped it, so nothing after run() executes.
        if tracer is not None:
            await asyncio.to_thread(tracer.close, TRACES_SECONDS)

    answers: dict[str, LiveAnswer] = {}
    app = GatewayApp(settings, environments, access, metrics, answers, lifespan, tracer, experiment)
    answers |= _add_probes(app, readiness, MetricsPage(metrics.registry))
    _instrument(app, metrics.requests)
    return app


def _add_probes(app: FastAPI, readiness: Readiness, page: MetricsPage) -> dict[str, LiveAnswer]:
    """Add the probe routes, documented for OpenAPI, and return how to answer each without FastAPI."""
    shared: dict[str, Any] = {"tags": ["probes"], "openapi_extra": {"parameters": [described_request_id()]}}

    @app.get("/health", operation_id="health", responses=problem_responses(PROBE_STATUSES), **shared)
    async def health() -> Alive:
        """Report that the process is alive."""
        return Alive(status="alive")

    async def alive() -> Response:
        return Response(ALIVE, media_type="application/json")

    @app.get(
        "/metrics",
        operation_id="metrics",
        response_class=PlainTextResponse,
        responses=metrics_responses(),
        **shared,
    )
    async def metrics() -> Response:
        """Return the metrics for Prometheus."""
        return await page()

    @app.get("/ready", operation_id="ready", responses=ready_responses(), **shared)
    async def ready() -> Response:
        """Report which environments can be served; 503 when none can."""
        states = await readiness.check()
        named = {name: "ready" if state else "unreachable" for name, state in states.items()}
        some = any(states.values())
        body: dict[str, Any] = {"status": "ready" if some else "unready", "environments": named}
        reasons = {name: readiness.reason(name) for name, state in states.items() if not state}
        if any(reasons.values()):
            body["reasons"] = {name: reason for name, reason in reasons.items() if reason}
        status = HTTPStatus.OK if some else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(orjson.dumps(body), status.value, media_type="application/json")

    return {"/health": alive, "/metrics": metrics, "/ready": ready}


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        problem = Problem(HTTPStatus(error.status_code), "http", str(error.detail))
        response = record_of(request.scope).response(problem)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)


def _instrument(app: FastAPI, metrics: RequestMetrics) -> None:
    instrumentator = Instrumentator(
        should_group_status_codes=False, excluded_handlers=["/metrics", "/health", "/ready"]
    )

    def observe(info: Info) -> None:
        environment = record_of(info.request.scope).environment or ""
        seconds = metrics.seconds_of(environment, info.modified_handler, info.method, info.modified_status)
        seconds.observe(info.modified_duration)

    instrumentator.add(observe).instrument(app)
