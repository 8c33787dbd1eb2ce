"""Real processes of two environments and their gateway, each with the part's own settings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.servers import Server, Servers, free_port
from bench.systems import MODEL, MODEL_READY, ROOT

ENVIRONMENTS = ("staging", "production")
HOST = "127.0.0.1"


@dataclass
class System:
    """Processes of one system by tier and environment.

    They are not waited for: call `servers.wait_ready()` when everything that the part needs has been started.
    """

    servers: Servers
    model: Path
    predictors: dict[str, Server] = field(default_factory=dict)
    transformers: dict[str, Server] = field(default_factory=dict)
    gateway: Server | None = None

    @property
    def url(self) -> str:
        """Return the URL of the gateway."""
        assert self.gateway is not None
        return self.gateway.url

    def start(self, gateway: Mapping[str, str] | None = None) -> None:
        """Start a predictor and a transformer for each environment, and a gateway with these settings."""
        for environment in ENVIRONMENTS:
            self.start_predictor(environment)
            self.start_transformer(environment, self.predictors[environment].url)
        self.start_gateway({name: server.url for name, server in self.transformers.items()}, gateway)

    def start_predictor(self, name: str, settings: Mapping[str, str] | None = None) -> Server:
        """Start a predictor under this name."""
        started = self._service("predictor", name, MODEL_READY, {"MODEL_DIR": str(self.model)}, settings)
        self.predictors[name] = started
        return started

    def start_transformer(self, name: str, predictor_url: str, settings: Mapping[str, str] | None = None) -> Server:
        """Start a transformer under this name, for the predictor at this URL."""
        own = {"PREDICTOR_URL": predictor_url, "ENVIRONMENT": name}
        started = self._service("transformer", name, MODEL_READY, own, settings)
        self.transformers[name] = started
        return started

    def start_gateway(self, routes: Mapping[str, str], settings: Mapping[str, str] | None = None) -> Server:
        """Start the gateway for these transformers, given by base URL for each environment."""
        own = {"ENVIRONMENTS": json.dumps(dict(routes))}
        self.gateway = self._service("gateway", "", "/ready", own, settings)
        return self.gateway

    def _service(
        self, service: str, name: str, ready_path: str, own: dict[str, str], settings: Mapping[str, str] | None
    ) -> Server:
        port = free_port()
        command = [str(ROOT / "services" / service / ".venv" / "bin" / service)]
        ports = {"PORT": str(port), "HTTP_PORT": str(port), "MODEL_NAME": MODEL}
        label = f"{name}-{service}".strip("-")
        return self.servers.start(label, command, port, ports | own | dict(settings or {}), ready_path)
