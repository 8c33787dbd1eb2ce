"""Client of the predictor over the Open Inference Protocol v2."""

import math
from collections.abc import Sequence
from http import HTTPStatus
from time import monotonic

import aiohttp

import features
from features import Features
from inference import (
    Call,
    ConnectionFailed,
    ErrorAnswer,
    InferenceClient,
    KeptResult,
    Replica,
    Replicas,
    Unreachable,
    Unusable,
)
from kserving import Unavailable
from runtime.tracing import Span, part
from transformer.feature_columns import REASON_CHARACTERS, Scores, error_answer, infer_request, nonsense, read_response
from transformer.schema_check import OtherSchema, SchemaCheck

READY_SECONDS = 0.8
"""Seconds that the predictor has to say whether it is ready; a gateway waits for one second."""
PROBE_ID = "readiness"
"""Request id of the short mail that readiness sends to a predictor."""
READY_KEPT_SECONDS = 1.0
"""Seconds that the result of a readiness check is reused."""


class PredictorClient:
    """Client of one predictor, with its connections."""

    def __init__(self, url: str, model_name: str, timeout_seconds: float) -> None:
        self._client = InferenceClient(Replicas(url), model_name)
        self._timeout_seconds = timeout_seconds
        self._ready = KeptResult(self._look_ready, READY_KEPT_SECONDS)
        self._schema = SchemaCheck(self._client.model_path, self._score_short_mail)

    async def score(
        self, mails: Sequence[Features], request_id: str, deadline: float = math.inf, explain: bool = False
    ) -> Scores:
        """Return the spam probability of each mail.

        Args:
            mails: One or more.
            request_id: Names the request; the answer must repeat it.
            deadline: Time on the clock `time.monotonic` until which an answer is of use.
            explain: Whether to request quantiles of the training mail too; other predictors than this project's send
                none.

        Raises:
            Unavailable: The predictor is down (503) or too slow (504), or its answer makes no sense (502).
        """
        body = infer_request(mails, request_id, explain)
        with part("ask the predictor", client=True, mails=len(mails)) as span:
            return await self._ask(self._call(body, request_id, len(mails), span), deadline)

    async def _ask(self, call: Call[Scores], deadline: float) -> Scores:
        seconds = min(self._timeout_seconds, deadline - monotonic())
        if seconds <= 0:
            raise Unavailable("the transformer had no time left to ask the predictor", HTTPStatus.GATEWAY_TIMEOUT)
        try:
            return await self._client.ask(call, seconds)
        except ErrorAnswer as error:
            raise error_answer(error.status, error.body) from None
        except OtherSchema as error:
            raise Unavailable(str(error)) from None
        except Unusable as error:
            raise nonsense(str(error)) from None
        except ConnectionFailed as error:
            raise Unavailable(f"the predictor cannot be reached: {str(error)[:REASON_CHARACTERS]}") from None
        except Unreachable as error:
            raise Unavailable(f"the predictor is not asked now: {error}") from None
        except TimeoutError:
            raise Unavailable("the predictor did not answer in time", HTTPStatus.GATEWAY_TIMEOUT) from None

    async def is_ready(self) -> bool:
        """Return whether a replica of the predictor says that its model is ready.

        The result is at most `READY_KEPT_SECONDS` old. One check runs at a time, on a connection of its own, so probes
        cannot exhaust what mail needs.

        Raises:
            Unavailable: The ready replicas have a model of other features than this transformer makes.
        """
        ready, fault = await self._ready()
        if fault:
            raise Unavailable(fault)
        return ready

    async def _look_ready(self) -> tuple[bool, str]:
        """Return whether a replica is ready and fits, and otherwise why a ready one does not fit."""
        state = await self._client.ready_state(READY_SECONDS, self._schema.fault)
        if state.ready or state.fault:
            self._schema.tell(state.fault)
        return state.ready, state.fault

    async def _score_short_mail(self, session: aiohttp.ClientSession, replica: Replica) -> None:
        call = self._call(infer_request([features.extract("")], PROBE_ID), PROBE_ID, 1)
        await self._client.send(call, replica, READY_SECONDS, session)

    def _call(self, body: bytes, request_id: str, n: int, span: Span | None = None) -> Call[Scores]:
        def read(answer: bytes, replica: Replica) -> Scores:
            return self._noted(replica, answer, n, request_id)

        return Call(body, request_id, n, read, span)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _noted(self, replica: Replica, answer: bytes, n: int, request_id: str) -> Scores:
        try:
            scores = read_response(answer, n, request_id)
        except OtherSchema as error:
            self._schema.note(replica, str(error))
            raise
        self._schema.note(replica, "")
        return scores
