"""Client of one environment's transformer over the Open Inference Protocol v2."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Generic, TypeVar

import aiohttp

from contract.headers import DEADLINE, REQUEST_ID
from contract.limits import ANSWER_BYTES, ANSWER_BYTES_PER_MAIL, CONNECT_SECONDS
from gateway import problems
from gateway.metrics import EnvironmentMetrics
from gateway.predictions.infer import (
    error_reason,
    infer_request,
    nonsense,
    read_explained,
    read_response,
    shadow_request,
    unready_reason,
)
from gateway.predictions.mails import Answer, Answered, Features, Mail
from gateway.problems import Problem
from replicas import Failures, Replica, Replicas, Unreachable, read_bounded
from tracing import Span

READY_TIMEOUT_SECONDS = 1.0


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

    Without `metrics`, failures and retries are not counted: they are the shadow's.
    """

    unready_reason = ""
    """Last reason that an unready replica gave, such as the feature schema it expects, or ""."""

    def __init__(
        self,
        environment: str,
        replicas: Replicas,
        model_name: str,
        session: aiohttp.ClientSession,
        metrics: EnvironmentMetrics | None = None,
    ) -> None:
        self.environment = environment
        self._replicas = replicas
        self._infer_path = f"/v2/models/{model_name}/infer"
        self._ready_path = f"/v2/models/{model_name}/ready"
        self._session = session
        self._metrics = metrics
        if metrics is not None:
            # The counters exist from the start: Prometheus sees no increase in a series that begins with its first
            # event.
            metrics.upstream_retries.labels(environment)
            for kind in ERROR_KINDS:
                metrics.upstream_errors.labels(environment, kind)

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
            if self._metrics is not None:
                self._metrics.upstream_retries.labels(self.environment).inc()
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
                self.unready_reason = unready_reason(said) or self.unready_reason
        except (aiohttp.ClientError, ValueError):
            pass
        return False

    async def _post(self, replica: Replica, call: Call[T], seconds: float) -> T | ErrorAnswer:
        # The protocol's binary framing without binary tensors: the SDK then reads the JSON with orjson, in a fraction
        # of the time that plain JSON takes.
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(call.body)),
            REQUEST_ID: call.id,
            DEADLINE: str(max(1, int(seconds * 1000))),
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
                raise ErrorAnswer(HTTPStatus.OK, nonsense(error)) from None
            error_answer = ErrorAnswer(response.status, error_reason(response.status, answer))
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
        if self._metrics is not None:
            self._metrics.upstream_errors.labels(self.environment, kind).inc()
        return problem
