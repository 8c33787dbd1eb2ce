"""Clients of a gateway in the test's own process, and the lines that the gateway logs."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp
from waiting import until

from gateway.app import GatewayApp, create_app
from gateway.settings import GatewaySettings
from runtime.tracing import Tracer

Lines = list[dict[str, Any]]
NOBODY = {"staging": "http://127.0.0.1:1"}
"""Environments of a gateway whose transformer is not asked."""


def app_of(environments: Mapping[str, str] = NOBODY, tracer: Tracer | None = None, **settings: object) -> GatewayApp:
    return create_app(GatewaySettings(environments=environments, **settings), tracer=tracer)  # type: ignore[arg-type]


def in_process(app: ASGIApp, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """Return a client at this address of an application that another has started, or that needs no start."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://gw")


@asynccontextmanager
async def running(environments: Mapping[str, str], **settings: object) -> AsyncIterator[httpx.AsyncClient]:
    """Run a gateway, and yield a client of it."""
    app = app_of(environments, **settings)
    async with app.router.lifespan_context(app), in_process(app) as client:
        yield client


async def lines_until(capsys: pytest.CaptureFixture[str], enough: Callable[[Lines], object]) -> Lines:
    """Return all lines once they are enough; they are written some time after the answers."""
    lines: Lines = []

    def found() -> object:
        lines.extend(json.loads(text) for text in capsys.readouterr().out.splitlines())
        return enough(lines)

    await until(found)
    return lines
