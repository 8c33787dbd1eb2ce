"""The systems that are compared: how each is started, what it is sent and what it answers."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.client import Client
from bench.servers import Server, Servers, free_port

OURS = "model-serving"
UNCOALESCED = "model-serving, coalescing off"
LOGGING = "model-serving, inference log on"
TRACED = "model-serving, traced at 1 %"
MLSERVER = "MLServer"
KSERVE = "KServe SDK"

SERVICES = ("predictor", "transformer", "gateway")
MODEL = "spam-detector"
MODEL_READY = f"/v2/models/{MODEL}/ready"
INFER = f"/v2/models/{MODEL}/infer"
PROJECT = Path(__file__).parents[2]
ROOT = PROJECT.parents[1]


class Batched(NamedTuple):
    """How many mails, in how many batches, a system has scored so far."""

    mails: float
    batches: float


@dataclass(frozen=True)
class System:
    """A running system under test."""

    name: str
    hops: int
    servers: tuple[Server, ...]
    path: str
    body: Callable[[str], str]
    probability: Callable[[Any], float]
    batched: Callable[[str], Batched] | None = None
    batched_path: str = "/"

    @property
    def base(self) -> str:
        """The URL of the server that faces the client."""
        return self.servers[-1].url

    def counted(self) -> Batched | None:
        """The system's own count of its batches, if it keeps one."""
        if self.batched is None:
            return None
        client = Client(self.base)
        try:
            return self.batched(client.get(self.batched_path))
        finally:
            client.close()


def ours(
    servers: Servers,
    model: Path,
    name: str = OURS,
    coalescing: bool = True,
    inference_log: str = "",
    tracing: dict[str, str] | None = None,
) -> System:
    """Gateway, transformer and predictor of one environment.

    Args:
        inference_log: Where the transformer records what it answers, if anywhere.
        tracing: OpenTelemetry's variables, for all three.
    """
    label = re.sub(r"\W+", "-", name)
    traced = tracing or {}
    log = {"INFERENCE_LOG_URI": inference_log, "INFERENCE_LOG_FLUSH_SECONDS": "5"}
    predictor, transformer = pair(servers, model, label, "staging", log, traced)
    settings = {"COALESCING": json.dumps(coalescing)} | traced
    entrance = gateway(servers, label, {"staging": transformer.url}, settings)
    return System(
        name=name,
        hops=3,
        servers=(predictor, transformer, entrance),
        path="/api/v1/predict",
        body=lambda mail: json.dumps({"email_content": mail}),
        probability=lambda answer: float(answer["spam_probability"]),
        batched=gateway_batches,
        batched_path="/metrics",
    )


def pair(
    servers: Servers,
    model: Path,
    label: str,
    environment: str,
    transformer: dict[str, str] | None = None,
    both: dict[str, str] | None = None,
) -> tuple[Server, Server]:
    """Predictor and transformer of an environment, with more settings of the transformer and of both."""
    more = both or {}
    bundle = {"MODEL_DIR": str(model), "MODEL_NAME": MODEL}
    predictor = _service(servers, "predictor", label, MODEL_READY, bundle | more)
    settings = {"PREDICTOR_URL": predictor.url, "MODEL_NAME": MODEL, "ENVIRONMENT": environment}
    return predictor, _service(servers, "transformer", label, MODEL_READY, settings | (transformer or {}) | more)


def gateway(servers: Servers, label: str, environments: dict[str, str], settings: dict[str, str]) -> Server:
    """A gateway to these environments, each with the URL of its transformer."""
    return _service(servers, "gateway", label, "/ready", {"ENVIRONMENTS": json.dumps(environments)} | settings)


def collector(servers: Servers) -> Server:
    """A collector that takes all spans and keeps none, in a process whose CPU nobody counts."""
    port = free_port()
    return servers.start("collector", [sys.executable, "-m", "bench.collector"], port, {"PORT": str(port)}, "/")


def at_one_percent(server: Server) -> dict[str, str]:
    """Tracing as its users have it."""
    share = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url} | share


def by_parents(server: Server) -> dict[str, str]:
    """Tracing of those requests, and of all those, whose traceparent says so."""
    share = {"OTEL_TRACES_SAMPLER": "parentbased_always_off", "TRACING_PARENTS_PER_SECOND": "1000000"}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url} | share


def mlserver(servers: Servers, model: Path) -> System:
    """MLServer with adaptive batching, one process."""
    project = PROJECT / "mlserver"
    command = [executable(project, "mlserver"), "start", str(project / "serving")]
    port = free_port()
    ports = {"MLSERVER_HTTP_PORT": str(port), "MLSERVER_GRPC_PORT": str(free_port())}
    server = servers.start("mlserver", command, port, ports | {"MODEL_DIR": str(model)}, MODEL_READY)
    return System(
        name=MLSERVER,
        hops=1,
        servers=(server,),
        path=INFER,
        body=v2_body,
        probability=v2_probability,
        batched=lambda text: Batched(**json.loads(text)),
        batched_path="/batches",
    )


def kserve(servers: Servers, model: Path) -> System:
    """The KServe SDK's server, one process."""
    port = free_port()
    environment = {"HTTP_PORT": str(port), "MODEL_DIR": str(model)}
    server = servers.start("kserve", [sys.executable, "-m", "bench.kserve_server"], port, environment, MODEL_READY)
    return System(name=KSERVE, hops=1, servers=(server,), path=INFER, body=v2_body, probability=v2_probability)


def v2_body(mail: str) -> str:
    """An Open Inference Protocol v2 request for one mail."""
    tensor = {"name": "email_content", "shape": [1], "datatype": "BYTES", "data": [mail]}
    return json.dumps({"id": "1", "inputs": [tensor]})


def v2_probability(answer: Any) -> float:
    """The only number of an Open Inference Protocol v2 answer."""
    return float(answer["outputs"][0]["data"][0])


def gateway_batches(metrics: str) -> Batched:
    """Mails and batches so far, from the sum and count of the gateway's histogram of batch sizes."""
    totals = [
        sum(
            float(value)
            for value in re.findall(rf"^gateway_batch_mails_{kind}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)
        )
        for kind in ("sum", "count")
    ]
    return Batched(*totals)


def executable(project: Path, script: str) -> str:
    """A console script of a uv project, its environment made first; run directly, so that its process is the server."""
    if not (project / ".venv").exists():
        print(f"making the environment of {project.name}", flush=True)
    uv = os.environ.get("UV", "uv")
    options = ["--project", str(project), "--frozen", "--no-dev", "--inexact", "--quiet"]
    subprocess.run([uv, "sync", *options], env=_outside_environment(), check=True)
    return str(project / ".venv" / "bin" / script)


def _service(servers: Servers, service: str, label: str, ready_path: str, settings: dict[str, str]) -> Server:
    port = free_port()
    command = [executable(ROOT / "services" / service, service)]
    ports = {"PORT": str(port), "HTTP_PORT": str(port)}
    return servers.start(f"{label}-{service}", command, port, ports | settings, ready_path)


def _outside_environment() -> dict[str, str]:
    """The environment without what `uv run` set for the benchmark's own, which is not the one to change."""
    return {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")}
