"""One environment's transformer, asked over the Open Inference Protocol v2."""

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
"""Tells the transformer how many milliseconds the gateway waits for its answer."""
READY_TIMEOUT_SECONDS = 1.0
CONNECT_SECONDS = 1.0
"""For one connection: an address that no pod has any more does not refuse, and another replica may take the request."""

ANSWER_BYTES = 65_536
ANSWER_BYTES_PER_MAIL = 256
"""What an answer to n mails may have; the transformer's own has about 40 a mail."""
REASON_CHARACTERS = 500
LONGEST_VERSION = 128
PREDICTIONS = ("spam", "ham")

SHA256 = re.compile("[0-9a-f]{64}")

BASELINE_GROUPS = ("all", "ham", "spam")
QUANTILES = ("p05", "p25", "p50", "p75", "p95")
"""What a model tells of its training mail: of each number, over each group of mails, these quantiles."""

ERROR_KINDS = ("connection", "not-ready", "timeout", "nonsense")
"""Kinds of failed batches whose counters are there from the start; `status-<n>` begins with its first."""


class ErrorAnswer(Exception):
    """The transformer answered with an error, or with nonsense under status 200."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


# A KServe server that is shutting down no longer knows its model: 404.
BROKEN = frozenset(
    {
        HTTPStatus.NOT_FOUND,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)
"""Statuses for which another replica may have a better answer."""

# Scoring twice does no harm.
FAILURES = Failures(
    # A connection that could not be made, or was closed before an answer began.
    anywhere=(
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ServerDisconnectedError,
        aiohttp.ClientOSError,
    ),
    elsewhere=(aiohttp.ClientError, ErrorAnswer),
)


# To freeze those of which each mail has one would cost a microsecond of each.
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
    """Of the model's bundle, where the predictor tells it."""
    seconds: float = field(default=0.0, compare=False)
    """From the departure of their batch to its answer."""
    batch_mails: int = field(default=0, compare=False)
    """Of that batch, which may have been shared with other requests; 0 where that is not known."""
    threshold: float | None = None
    """Spam probability from which the model calls a mail spam; None where an older transformer does not send it."""


class Answered(Protocol):
    """Mails of one request that production has answered."""

    @property
    def mails(self) -> Sequence[Mail]:
        """One or more."""

    @property
    def answer(self) -> Answer:
        """To all of them."""

    @property
    def first(self) -> int:
        """Position of the first within its request."""


@dataclass(frozen=True, slots=True)
class Features:
    """What the transformer saw of one mail: k named numbers."""

    names: list[str]
    descriptions: list[str]
    values: list[float]
    quantiles: list[float] | None
    """Shape [k, `BASELINE_GROUPS`, `QUANTILES`], row by row; None where the model does not tell it."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request to the transformer, and how its answer is read."""

    body: bytes
    id: str
    mails: int
    span: Span | None
    read: Callable[[bytes, int, str], T]


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
    """One environment's transformer; the session belongs to the application.

    Without `counted`, failures and retries are in no metric of the environment: they are the shadow's own.
    """

    unready_reason = ""
    """What a replica that is not ready last said about it, such as which feature schema it wants; "" for nothing."""

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
        """How many replicas the transformer has, as far as is known; 1 at least."""
        return len(self._replicas)

    async def infer(
        self, mails: Sequence[Mail], batch_id: str, timeout_seconds: float, span: Span | None = None
    ) -> Answer:
        """Send one batch, and its span's traceparent if it has a span.

        Raises:
            BatchRefused: The transformer answered that it cannot work with the batch.
            Problem: It is down, too slow, or answers nonsense.
        """
        return await self._ask(
            Call(infer_request(mails, batch_id), batch_id, len(mails), span, read_response), timeout_seconds
        )

    async def explain(self, mail: Mail, timeout_seconds: float, span: Span | None = None) -> tuple[Answer, Features]:
        """Send one mail, and ask what the transformer sees of it, too.

        Raises:
            BatchRefused, Problem: As `infer`.
        """
        body = infer_request([mail], mail.request_id, explain=True)
        return await self._ask(Call(body, mail.request_id, 1, span, read_explained), timeout_seconds)

    async def shadow(self, pieces: Sequence[Answered], batch_id: str, timeout_seconds: float) -> Answer:
        """Send mails that production has answered, and what it said; raises as `infer`."""
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
            # Not the deadline: an attempt that finds out whether a replica hangs still ends sooner.
            problem = problems.upstream_slow(self.environment, monotonic() - began, reason)
            raise self._failed("timeout", problem) from None
        except aiohttp.ClientError as error:
            reason = f"the transformer cannot be reached ({type(error).__name__})"
            raise self._failed("connection", problems.upstream_down(self.environment, reason)) from None
        if isinstance(answer, ErrorAnswer):
            raise self._error(answer, call.mails)
        return answer

    async def is_ready(self) -> bool:
        """Whether one of the transformer's replicas says that it and its predictor are ready.

        The connection is the probe's own, and no limit on mail holds it back: neither can exhaust the other's.
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
        # The protocol's binary framing with no binary tensor: the SDK then reads the JSON by orjson, in a fraction
        # of the time that its way for plain JSON takes.
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(call.body)),
            "X-Request-ID": call.id,
            DEADLINE_HEADER: str(max(1, int(seconds * 1000))),
            **replica.headers,
        }
        if call.span is not None:
            if not replica.hangs:  # It may get but a copy, whose answer is nobody's.
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
        # Whoever halves a batch asks twice more; when everything fails, no single mail is at fault.
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and n > 1 and not self._replicas.budget.take(2):
            return problem
        return BatchRefused(problem)

    def _failed(self, kind: str, problem: Problem) -> Problem:
        if self._counted:
            metrics.UPSTREAM_ERRORS.labels(self.environment, kind).inc()
        return problem


def _unready_reason(body: bytes) -> str:
    """Return the protocol's `error` as one printable line; "" where there is none."""
    try:
        said = orjson.loads(body)["error"]
    except (ValueError, LookupError, TypeError):
        return ""
    text = said if isinstance(said, str) else ""
    return "".join(each if each.isprintable() else "?" for each in text[:REASON_CHARACTERS])


def infer_request(mails: Sequence[Mail], batch_id: str, explain: bool = False) -> bytes:
    """The v2 request for n mails; `request_id` names each mail's request in the inference log."""
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
    """The v2 request for mails that production has answered: as `infer_request`, and what it said of each."""
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
    """Read the transformer's outputs `spam_probability` and `prediction`.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: It is no answer to this batch of n mails.
    """
    answer: dict[str, Any] = orjson.loads(body)
    if "error" in answer:
        raise ValueError(f"it is an error with status 200: {str(answer['error'])[:REASON_CHARACTERS]}")
    if answer.get("id") not in (None, batch_id):
        raise ValueError("it answers another batch")
    probabilities, predictions = _column(answer, "spam_probability", n), _column(answer, "prediction", n)
    # bool is an int to Python, and no probability.
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
    """It goes into answers and log lines."""
    if not isinstance(version, str) or not 0 < len(version) <= LONGEST_VERSION or not version.isprintable():
        raise ValueError(f"model_version is no text of 1 to {LONGEST_VERSION} printable characters")
    return version


def _threshold(threshold: Any) -> float | None:
    # bool is an int to Python, and no threshold.
    if threshold is not None and not (type(threshold) in (float, int) and 0 <= threshold <= 1):
        raise ValueError("threshold is not a number between 0 and 1")
    return None if threshold is None else float(threshold)


def _nonsense(error: Exception) -> str:
    return f"the transformer's answer makes no sense ({type(error).__name__}: {error})"[:REASON_CHARACTERS]


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


def read_explained(body: bytes, n: int, batch_id: str) -> tuple[Answer, Features]:
    """Read an answer to one mail together with its features; raises as `read_response` and `read_features`."""
    return read_response(body, n, batch_id), read_features(body)


def _reason(status: int, body: bytes) -> str:
    """The transformer's own words, if they name a hop; it does for what the predictor has done."""
    try:
        reason = str(orjson.loads(body)["error"])[:REASON_CHARACTERS]
    except (ValueError, LookupError, TypeError):
        reason = body[:200].decode("utf-8", "replace") or "no reason given"
    named = reason.startswith(("the predictor", "the transformer"))
    return reason if named else f"the transformer answered {status}: {reason}"
