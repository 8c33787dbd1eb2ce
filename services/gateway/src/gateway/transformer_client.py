"""One environment's transformer, asked over the Open Inference Protocol v2."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from gateway import metrics, problems
from gateway.problems import Problem
from replicas import Replicas, Unreachable

RETRIES = 2
RETRY_PAUSE_SECONDS = 0.02
READY_TIMEOUT_SECONDS = 1.0
CONNECT_SECONDS = 1.0
"""For one connection: an address that no pod has any more does not refuse, and another replica may take the request."""

SHA256 = re.compile("[0-9a-f]{64}")

BASELINE_GROUPS = ("all", "ham", "spam")
QUANTILES = ("p05", "p25", "p50", "p75", "p95")
"""What a model tells of its training mail: of each number, over each group of mails, these quantiles."""

ERROR_KINDS = ("connection", "not-ready", "timeout", "nonsense")
"""Kinds of failed batches whose counters are there from the start; `status-<n>` begins with its first."""

# A connection that could not be made, or was closed before an answer began; scoring twice does no harm.
CONNECTION_FAILURES = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientOSError,
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail of one request."""

    content: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Verdicts on n mails, in their order."""

    probabilities: list[float]
    predictions: list[str]
    model_version: str
    model_sha256: str = ""
    """Of the model's file, where the predictor tells it."""


@dataclass(frozen=True, slots=True)
class Features:
    """What the transformer saw of one mail: k named numbers."""

    names: list[str]
    descriptions: list[str]
    values: list[float]
    quantiles: list[float] | None
    """Shape [k, `BASELINE_GROUPS`, `QUANTILES`], row by row; None where the model does not tell it."""


class BatchRefused(Exception):
    """The transformer could not work with this batch, perhaps because of a single mail in it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def open_session() -> aiohttp.ClientSession:
    """Connections for the clients of all environments: as many as are needed, each made in time."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)


class TransformerClient:
    """One environment's transformer; the session belongs to the application."""

    def __init__(self, environment: str, replicas: Replicas, model_name: str, session: aiohttp.ClientSession) -> None:
        self.environment = environment
        self._replicas = replicas
        self._infer_path = f"/v2/models/{model_name}/infer"
        self._ready_path = f"/v2/models/{model_name}/ready"
        self._session = session
        self._retries = metrics.UPSTREAM_RETRIES.labels(environment)
        for kind in ERROR_KINDS:
            metrics.UPSTREAM_ERRORS.labels(environment, kind)

    @property
    def replicas(self) -> int:
        """How many replicas the transformer has, as far as is known; 1 at least."""
        return len(self._replicas)

    async def infer(self, mails: Sequence[Mail], batch_id: str, timeout_seconds: float) -> Answer:
        """Send one batch.

        Raises:
            BatchRefused: The transformer answered that it cannot work with the batch.
            Problem: It is down, too slow, or answers nonsense.
        """
        return self._read(await self._ask(infer_request(mails, batch_id), batch_id, timeout_seconds), len(mails))

    async def explain(self, mail: Mail, timeout_seconds: float) -> tuple[Answer, Features]:
        """Send one mail, and ask what the transformer sees of it, too.

        Raises:
            BatchRefused, Problem: As `infer`.
        """
        body = infer_request([mail], mail.request_id, explain=True)
        answer = await self._ask(body, mail.request_id, timeout_seconds)
        return self._read(answer, 1), self._read_features(answer)

    async def _ask(self, body: bytes, batch_id: str, timeout_seconds: float) -> bytes:
        try:
            async with asyncio.timeout(timeout_seconds):
                status, answer = await self._post(body, batch_id)
        except (aiohttp.ConnectionTimeoutError, Unreachable):
            reason = f"no connection to the transformer within {CONNECT_SECONDS:g} s"
            raise self._failed("connection", problems.upstream_down(self.environment, reason)) from None
        except TimeoutError:
            raise self._failed("timeout", problems.upstream_slow(self.environment, timeout_seconds)) from None
        except aiohttp.ClientError as error:
            reason = f"the transformer cannot be reached ({type(error).__name__})"
            raise self._failed("connection", problems.upstream_down(self.environment, reason)) from None
        if status != HTTPStatus.OK:
            raise self._error(status, answer)
        return answer

    async def is_ready(self) -> bool:
        """Whether the transformer and its predictor say that they are ready."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                replica = await self._replicas.pick()
                async with self._session.get(replica.url + self._ready_path, headers=replica.headers) as response:
                    return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError, Unreachable):
            return False

    async def _post(self, body: bytes, batch_id: str) -> tuple[int, bytes]:
        # The protocol's binary framing with no binary tensor: the SDK then reads the JSON by orjson, in a fraction
        # of the time that its way for plain JSON takes.
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(body)),
            "X-Request-ID": batch_id,
        }
        for attempt in range(RETRIES + 1):
            try:
                return await self._post_once(body, headers)
            except CONNECTION_FAILURES:
                if attempt == RETRIES:
                    raise
                self._retries.inc()
                await asyncio.sleep(RETRY_PAUSE_SECONDS * attempt)
        raise AssertionError("unreachable")

    async def _post_once(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        with await self._replicas.pick() as replica:
            url, headers = replica.url + self._infer_path, headers | replica.headers
            async with self._session.post(url, data=body, headers=headers) as response:
                return response.status, await response.read()

    def _error(self, status: int, body: bytes) -> Exception:
        reason = _reason(body)
        # A KServe server that is shutting down no longer knows its model: 404.
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE):
            return self._failed("not-ready", problems.upstream_down(self.environment, reason))
        if status == HTTPStatus.GATEWAY_TIMEOUT:
            detail = f"{self.environment}: {reason}"
            return self._failed("timeout", Problem(HTTPStatus.GATEWAY_TIMEOUT, "upstream-timeout", detail))
        problem = self._failed(f"status-{status}", problems.upstream_failed(self.environment, reason))
        return BatchRefused(problem)

    def _read(self, body: bytes, n: int) -> Answer:
        try:
            return read_response(body, n)
        except (ValueError, KeyError, TypeError) as error:
            raise self._nonsense(error) from None

    def _read_features(self, body: bytes) -> Features:
        try:
            return read_features(body)
        except (ValueError, KeyError, TypeError) as error:
            raise self._nonsense(error) from None

    def _nonsense(self, error: Exception) -> Problem:
        reason = f"the transformer's answer makes no sense ({type(error).__name__}: {error})"
        return self._failed("nonsense", problems.upstream_failed(self.environment, reason))

    def _failed(self, kind: str, problem: Problem) -> Problem:
        metrics.UPSTREAM_ERRORS.labels(self.environment, kind).inc()
        return problem


def infer_request(mails: Sequence[Mail], batch_id: str, explain: bool = False) -> bytes:
    """The v2 request for n mails; `request_id` names each mail's request in the inference log."""
    shape = [len(mails)]
    parameters = {"parameters": {"explain": True}} if explain else {}
    return orjson.dumps(
        {
            **parameters,
            "id": batch_id,
            "inputs": [
                {
                    "name": "email_content",
                    "datatype": "BYTES",
                    "shape": shape,
                    "data": [mail.content for mail in mails],
                },
                {
                    "name": "request_id",
                    "datatype": "BYTES",
                    "shape": shape,
                    "data": [mail.request_id for mail in mails],
                },
            ],
        }
    )


def read_response(body: bytes, n: int) -> Answer:
    """Read the transformer's outputs `spam_probability` and `prediction`.

    Raises:
        ValueError, KeyError, TypeError: It is no answer to n mails.
    """
    answer: dict[str, Any] = orjson.loads(body)
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    probabilities, predictions = outputs["spam_probability"], outputs["prediction"]
    if len(probabilities) != n or len(predictions) != n:
        raise ValueError(f"{len(probabilities)} probabilities and {len(predictions)} predictions for {n} mails")
    if not all(isinstance(p, float | int) and 0 <= p <= 1 for p in probabilities):
        raise ValueError("a probability is not between 0 and 1")
    sha256 = (answer.get("parameters") or {}).get("model_sha256", "")
    if sha256 and not SHA256.fullmatch(sha256):
        raise ValueError("model_sha256 is no SHA-256")
    return Answer(probabilities, predictions, answer["model_version"], sha256)


def read_features(body: bytes) -> Features:
    """Read what the transformer adds for `explain`, of one mail.

    Raises:
        ValueError, KeyError, TypeError: It is no such answer; a transformer of before does not know `explain`.
    """
    outputs = {output["name"]: output["data"] for output in orjson.loads(body)["outputs"]}
    if "features" not in outputs:
        raise ValueError("no features; this environment's transformer is too old to explain")
    names, descriptions = outputs["feature_names"], outputs["feature_descriptions"]
    values, quantiles = outputs["features"], outputs.get("feature_quantiles")
    if not len(names) == len(descriptions) == len(values):
        raise ValueError(f"{len(names)} names and {len(descriptions)} descriptions of {len(values)} features")
    if quantiles is not None and len(quantiles) != len(names) * len(BASELINE_GROUPS) * len(QUANTILES):
        raise ValueError(f"{len(quantiles)} quantiles of {len(names)} features")
    return Features(names, descriptions, values, quantiles)


def _reason(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])[:500]
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace") or "no reason given"
