"""Client of one environment's transformer over the Open Inference Protocol v2."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from time import monotonic
from typing import TypeVar

import aiohttp

from gateway import problems
from gateway.metrics import EnvironmentMetrics
from gateway.predictions.mail_tensors import (
    error_reason,
    infer_request,
    nonsense,
    read_explained,
    read_response,
    shadow_request,
)
from gateway.predictions.mails import Answered, ExplainedFeatures, Mail, Verdicts
from gateway.problems import Problem
from inference import Call, ConnectionFailed, ErrorAnswer, InferenceClient, Replica, Replicas, Unreachable, Unusable
from runtime.tracing import Span

READY_TIMEOUT_SECONDS = 1.0


ERROR_KINDS = ("connection", "not-ready", "timeout", "nonsense")
"""Kinds of failed batches whose counters exist from the start; `status-<n>` starts with its first failure."""


T = TypeVar("T")
Read = Callable[[bytes, int, str], T]
"""Reads the answer to a batch of n mails that has this id."""


class BatchRefused(Exception):
    """The transformer refused this batch, perhaps because of a single mail in it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


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
        self._client = InferenceClient(replicas, model_name, session, own_server=True, retried=self._retried)
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
        return len(self._client.replicas)

    async def infer(
        self, mails: Sequence[Mail], batch_id: str, timeout_seconds: float, span: Span | None = None
    ) -> Verdicts:
        """Send one batch, with its span's traceparent if it has a span.

        Raises:
            BatchRefused: The transformer cannot process the batch.
            Problem: The transformer is down or too slow, or its answer makes no sense.
        """
        call = _call(infer_request(mails, batch_id), batch_id, len(mails), read_response, span)
        return await self._ask(call, timeout_seconds)

    async def explain(
        self, mail: Mail, timeout_seconds: float, span: Span | None = None
    ) -> tuple[Verdicts, ExplainedFeatures]:
        """Send one mail and request its features too.

        Raises:
            BatchRefused, Problem: As `infer`.
        """
        body = infer_request([mail], mail.request_id, explain=True)
        return await self._ask(_call(body, mail.request_id, 1, read_explained, span), timeout_seconds)

    async def shadow(self, pieces: Sequence[Answered], batch_id: str, timeout_seconds: float) -> Verdicts:
        """Send mails that production has answered, with its answers; raises as `infer`."""
        mails = sum(len(piece.mails) for piece in pieces)
        call = _call(shadow_request(pieces, batch_id), batch_id, mails, read_response)
        return await self._ask(call, timeout_seconds)

    async def is_ready(self) -> bool:
        """Return whether a replica of the transformer says that it and its predictor are ready."""
        state = await self._client.ready_state(READY_TIMEOUT_SECONDS)
        self.unready_reason = "" if state.ready else state.unready_reason
        return state.ready

    async def _ask(self, call: Call[T], timeout_seconds: float) -> T:
        began = monotonic()
        try:
            return await self._client.ask(call, timeout_seconds)
        except ErrorAnswer as error:
            raise self._error(error, call.mails) from None
        except Unusable as error:
            problem = problems.upstream_failed(self.environment, nonsense(str(error)))
            raise self._failed("nonsense", problem) from None
        except ConnectionFailed as error:
            reason = f"the transformer cannot be reached ({error.kind})"
            raise self._failed("connection", problems.upstream_down(self.environment, reason)) from None
        except Unreachable as error:
            reason = f"the transformer is not asked now: {error}"
            raise self._failed("connection", problems.upstream_down(self.environment, reason)) from None
        except TimeoutError:
            reason = "the transformer did not answer"
            # The elapsed time, not the deadline: an attempt that probes whether a replica still hangs ends sooner.
            problem = problems.upstream_slow(self.environment, monotonic() - began, reason)
            raise self._failed("timeout", problem) from None

    def _error(self, error: ErrorAnswer, n: int) -> Exception:
        reason = error_reason(error.status, error.body)
        if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE):
            return self._failed("not-ready", problems.upstream_down(self.environment, reason))
        if error.status == HTTPStatus.GATEWAY_TIMEOUT:
            detail = f"{self.environment}: {reason}"
            return self._failed("timeout", Problem(HTTPStatus.GATEWAY_TIMEOUT, "upstream-timeout", detail))
        problem = self._failed(f"status-{error.status}", problems.upstream_failed(self.environment, reason))
        # Halving a batch costs two more requests; when everything fails, no single mail is at fault.
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and n > 1 and not self._client.replicas.budget.take(2):
            return problem
        return BatchRefused(problem)

    def _retried(self) -> None:
        if self._metrics is not None:
            self._metrics.upstream_retries.labels(self.environment).inc()

    def _failed(self, kind: str, problem: Problem) -> Problem:
        if self._metrics is not None:
            self._metrics.upstream_errors.labels(self.environment, kind).inc()
        return problem


def _call(body: bytes, batch_id: str, n: int, read: Read[T], span: Span | None = None) -> Call[T]:
    def read_own(answer: bytes, _: Replica) -> T:
        return read(answer, n, batch_id)

    return Call(body, batch_id, n, read_own, span)
