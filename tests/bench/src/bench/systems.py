"""Systems under comparison: how each is started, what it is sent and what it answers."""

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
    """Number of mails, and of batches, that a system has scored so far."""

    mails: float
    batches: float


@dataclass(frozen=True)
class System:
    """Running system under test."""

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
        """Return the URL of the server that faces the client."""
        return self.servers[-1].url

    def counted(self) -> Batched | None:
        """Return the system's own count of its batches, if it keeps one."""
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
    """Start gateway, transformer and predictor of one environment.

    Args:
        inference_log: URI where the transformer records its answers; empty for none.
        tracing: OpenTelemetry's variables for all three.
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
    """Start predictor and transformer of an environment, with more settings for the transformer and for both."""
    more = both or {}
    bundle = {"MODEL_DIR": str(model), "MODEL_NAME": MODEL}
    predictor = _service(servers, "predictor", label, MODEL_READY, bundle | more)
    settings = {"PREDICTOR_URL": predictor.url, "MODEL_NAME": MODEL, "ENVIRONMENT": environment}
    return predictor, _service(servers, "transformer", label, MODEL_READY, settings | (transformer or {}) | more)


def gateway(servers: Servers, label: str, environments: dict[str, str], settings: dict[str, str]) -> Server:
    """Start a gateway for these environments, each with the URL of its transformer."""
    return _service(servers, "gateway", label, "/ready", {"ENVIRONMENTS": json.dumps(environments)} | settings)


def collector(servers: Servers) -> Server:
    """Start a collector that accepts all spans and keeps none; its CPU is not counted."""
    port = free_port()
    return servers.start("collector", [sys.executable, "-m", "bench.collector"], port, {"PORT": str(port)}, "/")


def at_one_percent(server: Server) -> dict[str, str]:
    """Return settings for tracing as users have it."""
    share = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url} | share


def by_parents(server: Server) -> dict[str, str]:
    """Return settings that trace all the requests whose traceparent asks for it, and no others."""
    share = {"OTEL_TRACES_SAMPLER": "parentbased_always_off", "TRACING_PARENTS_PER_SECOND": "1000000"}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url} | share


def mlserver(servers: Servers, model: Path) -> System:
    """Start MLServer with adaptive batching, one process."""
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
    """Start the KServe SDK's server, one process."""
    port = free_port()
    environment = {"HTTP_PORT": str(port), "MODEL_DIR": str(model)}
    server = servers.start("kserve", [sys.executable, "-m", "bench.kserve_server"], port, environment, MODEL_READY)
    return System(name=KSERVE, hops=1, servers=(server,), path=INFER, body=v2_body, probability=v2_probability)


def v2_body(mail: str) -> str:
    """Return an Open Inference Protocol v2 request for one mail."""
    tensor = {"name": "email_content", "shape": [1], "datatype": "BYTES", "data": [mail]}
    return json.dumps({"id": "1", "inputs": [tensor]})


def v2_probability(answer: Any) -> float:
    """Return the only number of an Open Inference Protocol v2 answer."""
    return float(answer["outputs"][0]["data"][0])


def gateway_batches(metrics: str) -> Batched:
    """Return mails and batches so far, from the sum and count of the gateway's histogram of batch sizes."""
    totals = [
        sum(
            float(value)
            for value in re.findall(rf"^gateway_batch_mails_{kind}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)
        )
        for kind in ("sum", "count")
    ]
    return Batched(*totals)


def executable(project: Path, script: str) -> str:
    """Return a console script of a uv project, set up first; run it directly, so that its process is the server."""
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
    """Return the environment without the variables of `uv run`, which would make uv change the benchmark's own."""
    return {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")}
