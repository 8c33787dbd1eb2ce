"""Client of one environment's transformer over the Open Inference Protocol v2."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

import aiohttp
import orjson

from gateway import metrics, problems
from gateway.problems import Problem
from replicas import Failures, Replica, Replicas, Unreachable, read_bounded
from tracing import Span

DEADLINE_HEADER = "X-Deadline-Ms"
"""Header with the milliseconds that the gateway waits for the transformer's answer."""
READY_TIMEOUT_SECONDS = 1.0
CONNECT_SECONDS = 1.0
"""Seconds to make one connection.

An address that no pod has any more does not refuse, and another replica may take the request.
"""

ANSWER_BYTES = 65_536
ANSWER_BYTES_PER_MAIL = 256
"""Bytes that an answer may have for each mail, besides `ANSWER_BYTES`; the transformer's own has about 40."""
REASON_CHARACTERS = 500
LONGEST_VERSION = 128
PREDICTIONS = ("spam", "ham")

SHA256 = re.compile("[0-9a-f]{64}")

BASELINE_GROUPS = ("all", "ham", "spam")
QUANTILES = ("p05", "p25", "p50", "p75", "p95")
"""Quantiles that a model gives of each number in its training mail, for each group of mails."""

ERROR_KINDS = ("connection", "not-ready", "timeout", "nonsense")
"""Kinds of failed batches whose counters exist from the start; `status-<n>` starts with its first failure."""


class ErrorAnswer(Exception):
    """The transformer answered with an error, or with nonsense and status 200."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


# A KServe server that is shutting down no longer knows its model and answers 404.
BROKEN = frozenset(
    {
        HTTPStatus.NOT_FOUND,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
"""Statuses after which another replica may have a better answer."""

# Retrying is safe: scoring a mail twice does no harm.
FAILURES = Failures(
    # The connection failed, or was closed before an answer began.
    anywhere=(
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ServerDisconnectedError,
        aiohttp.ClientOSError,
    ),
    elsewhere=(aiohttp.ClientError, ErrorAnswer),
)


# Not frozen: that would cost a microsecond for each mail.
@dataclass(slots=True)
class Mail:
    """One mail of one request."""

    content: str
    request_id: str


@dataclass(slots=True)
class Answer:
    """Verdicts on n mails, in their order."""

    probabilities: list[float]
    predictions: list[str]
    model_version: str
    model_sha256: str = ""
    """SHA-256 of the model's bundle, if the predictor sends it."""
    seconds: float = field(default=0.0, compare=False)
    """Seconds from the departure of the batch to its answer."""
    batch_mails: int = field(default=0, compare=False)
    """Mails of that batch, which other requests may have shared; 0 if unknown."""
    threshold: float | None = None
    """Spam probability from which the model calls a mail spam; None if an older transformer does not send it."""


class Answered(Protocol):
    """Mails of one request that production has answered."""

    @property
    def mails(self) -> Sequence[Mail]:
        """Return the mails, one or more."""

    @property
    def answer(self) -> Answer:
        """Return the answer to all of them."""

    @property
    def first(self) -> int:
        """Return the position of the first mail within its request."""


@dataclass(frozen=True, slots=True)
class Features:
    """Features of one mail: k named numbers."""

    names: list[str]
    descriptions: list[str]
    values: list[float]
    quantiles: list[float] | None
    """Quantiles of shape [k, `BASELINE_GROUPS`, `QUANTILES`], row by row; None if the model does not give them."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request to the transformer, and the function that reads its answer."""

    body: bytes
    id: str
    mails: int
    span: Span | None
    read: Callable[[bytes, int, str], T]


class BatchRefused(Exception):
    """The transformer refused this batch, perhaps because of a single mail in it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def open_session() -> aiohttp.ClientSession:
    """Open connections for the clients of all environments, without a limit on their number but each with a timeout."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)


class TransformerClient:
    """Client of one environment's transformer; the session belongs to the application.

    Without `counted`, failures and retries stay out of the environment's metrics: they are the shadow's.
    """

    unready_reason = ""
    """Last reason that an unready replica gave, such as the feature schema it expects, or ""."""

    def __init__(
        self,
        environment: str,
        replicas: Replicas,
        model_name: str,
        session: aiohttp.ClientSession,
        counted: bool = True,
    ) -> None:
        self.environment = environment
        self._replicas = replicas
        self._infer_path = f"/v2/models/{model_name}/infer"
        self._ready_path = f"/v2/models/{model_name}/ready"
        self._session = session
        self._counted = counted
        self._retries = metrics.UPSTREAM_RETRIES.labels(environment)
        for kind in ERROR_KINDS:
            metrics.UPSTREAM_ERRORS.labels(environment, kind)

    @property
    def replicas(self) -> int:
        """Return how many replicas of the transformer are known; at least 1."""
        return len(self._replicas)

    async def infer(
        self, mails: Sequence[Mail], batch_id: str, timeout_seconds: float, span: Span | None = None
    ) -> Answer:
        """Send one batch, with its span's traceparent if it has a span.

        Raises:
            BatchRefused: The transformer cannot process the batch.
            Problem: The transformer is down or too slow, or its answer makes no sense.
        """
        return await self._ask(
            Call(infer_request(mails, batch_id), batch_id, len(mails), span, read_response), timeout_seconds
        )

    async def explain(self, mail: Mail, timeout_seconds: float, span: Span | None = None) -> tuple[Answer, Features]:
        """Send one mail and request its features too.

        Raises:
            BatchRefused, Problem: As `infer`.
        """
        body = infer_request([mail], mail.request_id, explain=True)
        return await self._ask(Call(body, mail.request_id, 1, span, read_explained), timeout_seconds)

    async def shadow(self, pieces: Sequence[Answered], batch_id: str, timeout_seconds: float) -> Answer:
        """Send mails that production has answered, with its answers; raises as `infer`."""
        mails = sum(len(piece.mails) for piece in pieces)
        call = Call(shadow_request(pieces, batch_id), batch_id, mails, None, read_response)
        return await self._ask(call, timeout_seconds)

    async def _ask(self, call: Call[T], timeout_seconds: float) -> T:
        async def send(replica: Replica, seconds: float) -> T | ErrorAnswer:
            return await self._post(replica, call, seconds)

        def retried() -> None:
            if self._counted:
                self._retries.inc()
            if call.span is not None:
                call.span.event("retry")

        began = monotonic()
        try:
            answer = await self._replicas.ask(send, timeout_seconds, FAILURES, retried)
        except ErrorAnswer as error:
            raise self._error(error, call.mails) from None
        except aiohttp.ConnectionTimeoutError:
            reason = f"no connection to the transformer within {CONNECT_SECONDS:g} s"
            raise self._failed("connection", problems.upstream_down(self.environment, reason)) from None
        except Unreachable as error:
            reason = f"the transformer is not asked now: {error}"
            raise self._failed("connection", problems.upstream_down(self.environment, reason)) from None
        except TimeoutError:
            reason = "the transformer did not answer"
            # The elapsed time, not the deadline: an attempt that probes whether a replica still hangs ends sooner.
            problem = problems.upstream_slow(self.environment, monotonic() - began, reason)
            raise self._failed("timeout", problem) from None
        except aiohttp.ClientError as error:
            reason = f"the transformer cannot be reached ({type(error).__name__})"
            raise self._failed("connection", problems.upstream_down(self.environment, reason)) from None
        if isinstance(answer, ErrorAnswer):
            raise self._error(answer, call.mails)
        return answer

    async def is_ready(self) -> bool:
        """Return whether a replica of the transformer says that it and its predictor are ready.

        The probe has a connection of its own and no limit on mail applies to it, so neither can exhaust the other.
        """
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS), open_session() as session:
                self.unready_reason = ""
                for replica in await self._replicas.ranked():
                    if await self._says_ready(session, replica):
                        self.unready_reason = ""
                        return True
        except TimeoutError:
            pass
        return False

    async def _says_ready(self, session: aiohttp.ClientSession, replica: Replica) -> bool:
        try:
            async with session.get(replica.url + self._ready_path, headers=replica.headers) as response:
                if response.status == HTTPStatus.OK:
                    return True
                said = await read_bounded(response.content.iter_any(), ANSWER_BYTES)
                self.unready_reason = _unready_reason(said) or self.unready_reason
        except (aiohttp.ClientError, ValueError):
            pass
        return False

    async def _post(self, replica: Replica, call: Call[T], seconds: float) -> T | ErrorAnswer:
        # The protocol's binary framing without binary tensors: the SDK then reads the JSON with orjson, in a fraction
        # of the time that plain JSON takes.
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(call.body)),
            "X-Request-ID": call.id,
            DEADLINE_HEADER: str(max(1, int(seconds * 1000))),
            **replica.headers,
        }
        if call.span is not None:
            if not replica.hangs:  # It may only get a copy whose answer is discarded.
                call.span.set(replica=replica.url)
            headers["traceparent"] = call.span.traceparent
        async with self._session.post(replica.url + self._infer_path, data=call.body, headers=headers) as response:
            try:
                limit = ANSWER_BYTES + ANSWER_BYTES_PER_MAIL * call.mails
                answer = await read_bounded(response.content.iter_any(), limit)
                if response.status == HTTPStatus.OK:
                    return call.read(answer, call.mails, call.id)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise ErrorAnswer(HTTPStatus.OK, _nonsense(error)) from None
            error_answer = ErrorAnswer(response.status, _reason(response.status, answer))
            if response.status in BROKEN:
                raise error_answer
            return error_answer

    def _error(self, error: ErrorAnswer, n: int) -> Exception:
        if error.status == HTTPStatus.OK:
            return self._failed("nonsense", problems.upstream_failed(self.environment, error.reason))
        if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE):
            return self._failed("not-ready", problems.upstream_down(self.environment, error.reason))
        if error.status == HTTPStatus.GATEWAY_TIMEOUT:
            detail = f"{self.environment}: {error.reason}"
            return self._failed("timeout", Problem(HTTPStatus.GATEWAY_TIMEOUT, "upstream-timeout", detail))
        problem = self._failed(f"status-{error.status}", problems.upstream_failed(self.environment, error.reason))
        # Halving a batch costs two more requests; when everything fails, no single mail is at fault.
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and n > 1 and not self._replicas.budget.take(2):
            return problem
        return BatchRefused(problem)

    def _failed(self, kind: str, problem: Problem) -> Problem:
        if self._counted:
            metrics.UPSTREAM_ERRORS.labels(self.environment, kind).inc()
        return problem


def _unready_reason(body: bytes) -> str:
    """Return the protocol's `error` as one printable line, or "" if there is none."""
    try:
        said = orjson.loads(body)["error"]
    except (ValueError, LookupError, TypeError):
        return ""
    text = said if isinstance(said, str) else ""
    return "".join(each if each.isprintable() else "?" for each in text[:REASON_CHARACTERS])


def infer_request(mails: Sequence[Mail], batch_id: str, explain: bool = False) -> bytes:
    """Return the v2 request for n mails; `request_id` names each mail's request in the inference log."""
    parameters = {"parameters": {"explain": True}} if explain else {}
    return orjson.dumps({**parameters, "id": batch_id, "inputs": _mail_inputs(mails)})


def _mail_inputs(mails: Sequence[Mail]) -> list[dict[str, Any]]:
    return [
        _input("email_content", "BYTES", [mail.content for mail in mails]),
        _input("request_id", "BYTES", [mail.request_id for mail in mails]),
    ]


def _input(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}


def shadow_request(pieces: Sequence[Answered], batch_id: str) -> bytes:
    """Return the v2 request for mails that production has answered: as `infer_request`, plus production's answers."""
    answers = [(piece.answer, len(piece.mails)) for piece in pieces]
    columns: list[tuple[str, str, list[Any]]] = [
        ("position", "INT32", [piece.first + i for piece in pieces for i in range(len(piece.mails))]),
        ("production_version", "BYTES", [answer.model_version for answer, n in answers for _ in range(n)]),
        ("production_sha256", "BYTES", [answer.model_sha256 for answer, n in answers for _ in range(n)]),
        ("production_probability", "FP64", [each for answer, _ in answers for each in answer.probabilities]),
        ("production_prediction", "BYTES", [each for answer, _ in answers for each in answer.predictions]),
        ("production_seconds", "FP64", [answer.seconds for answer, n in answers for _ in range(n)]),
        ("production_batch_mails", "INT32", [answer.batch_mails for answer, n in answers for _ in range(n)]),
    ]
    mails = [mail for piece in pieces for mail in piece.mails]
    return orjson.dumps({"id": batch_id, "inputs": [*_mail_inputs(mails), *(_input(*each) for each in columns)]})


def read_response(body: bytes, n: int, batch_id: str) -> Answer:
    """Return the answer in the transformer's outputs `spam_probability` and `prediction`.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: The body is not an answer to this batch of n mails.
    """
    answer: dict[str, Any] = orjson.loads(body)
    if "error" in answer:
        raise ValueError(f"it is an error with status 200: {str(answer['error'])[:REASON_CHARACTERS]}")
    if answer.get("id") not in (None, batch_id):
        raise ValueError("it answers another batch")
    probabilities, predictions = _column(answer, "spam_probability", n), _column(answer, "prediction", n)
    # Python's bool is an int, but not a probability.
    if not all(type(p) in (float, int) and 0 <= p <= 1 for p in probabilities):
        raise ValueError("a probability is not between 0 and 1")
    if not all(prediction in PREDICTIONS for prediction in predictions):
        raise ValueError("a prediction is neither spam nor ham")
    parameters = answer.get("parameters") or {}
    sha256 = parameters.get("model_sha256", "")
    if sha256 and not SHA256.fullmatch(sha256):
        raise ValueError("model_sha256 is no SHA-256")
    version, threshold = _version(answer["model_version"]), _threshold(parameters.get("threshold"))
    return Answer(probabilities, predictions, version, sha256, threshold=threshold)


def _column(answer: dict[str, Any], name: str, n: int) -> list[Any]:
    (data,) = [output["data"] for output in answer["outputs"] if output["name"] == name]
    if not isinstance(data, list) or len(data) != n:
        raise ValueError(f"'{name}' is no list of {n} values")
    return data


def _version(version: object) -> str:
    """Return a valid model version, which appears in answers and log lines."""
    if not isinstance(version, str) or not 0 < len(version) <= LONGEST_VERSION or not version.isprintable():
        raise ValueError(f"model_version is no text of 1 to {LONGEST_VERSION} printable characters")
    return version


def _threshold(threshold: Any) -> float | None:
    # Python's bool is an int, but not a threshold.
    if threshold is not None and not (type(threshold) in (float, int) and 0 <= threshold <= 1):
        raise ValueError("threshold is not a number between 0 and 1")
    return None if threshold is None else float(threshold)


def _nonsense(error: Exception) -> str:
    return f"the transformer's answer makes no sense ({type(error).__name__}: {error})"[:REASON_CHARACTERS]


def read_features(body: bytes) -> Features:
    """Return the features that the transformer adds to its answer for `explain`, of one mail.

    Raises:
        ValueError, KeyError, TypeError: The body has no such answer; an older transformer does not know `explain`.
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


def read_explained(body: bytes, n: int, batch_id: str) -> tuple[Answer, Features]:
    """Return the answer to one mail and its features; raises as `read_response` and `read_features`."""
    return read_response(body, n, batch_id), read_features(body)


def _reason(status: int, body: bytes) -> str:
    """Return the transformer's own message if it names a hop, else one that says which hop failed."""
    try:
        reason = str(orjson.loads(body)["error"])[:REASON_CHARACTERS]
    except (ValueError, LookupError, TypeError):
        reason = body[:200].decode("utf-8", "replace") or "no reason given"
    named = reason.startswith(("the predictor", "the transformer"))
    return reason if named else f"the transformer answered {status}: {reason}"
