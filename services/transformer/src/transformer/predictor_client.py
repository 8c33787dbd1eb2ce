"""Client of the predictor over the Open Inference Protocol v2."""

import asyncio
import math
from collections.abc import Sequence
from http import HTTPStatus
from time import monotonic

import aiohttp

import features
from contract.headers import REQUEST_ID
from contract.limits import ANSWER_BYTES, ANSWER_BYTES_PER_MAIL, CONNECT_SECONDS
from features import Features
from inference import Failures, Kept, Replica, Replicas, Unreachable, read_bounded
from oip import Unavailable
from tracing import part
from transformer.infer import REASON_CHARACTERS, Scores, error_answer, infer_request, nonsense, read_response
from transformer.schema_check import OtherSchema, SchemaCheck

# Retrying is safe: scoring a mail twice does no harm.
FAILURES = Failures(
    # The connection failed, or was closed before an answer began, as happens when a replica goes away in a rollout.
    anywhere=(aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ConnectionTimeoutError),
    elsewhere=(aiohttp.ClientError, Unavailable),
)
READY_SECONDS = 0.8
"""Seconds that the predictor has to say whether it is ready; a gateway waits for one second."""
PROBE_ID = "readiness"
"""Request id of the short mail that readiness sends to a predictor."""
READY_KEPT_SECONDS = 1.0
"""Seconds that the result of a readiness check is reused."""

LONGEST_ID = 256
"""Characters of the longest id in a header.

A gateway's batch has fewer: an id of at most 128 characters behind a number.
"""


class PredictorClient:
    """Client of one predictor, with its connections."""

    def __init__(self, url: str, model_name: str, timeout_seconds: float) -> None:
        self._replicas = Replicas(url)
        self._path = f"/v2/models/{model_name}/infer"
        self._ready_path = f"/v2/models/{model_name}/ready"
        self._timeout_seconds = timeout_seconds
        self._open_session: aiohttp.ClientSession | None = None
        self._ready = Kept(self._look_ready, READY_KEPT_SECONDS)
        self._schema = SchemaCheck(f"/v2/models/{model_name}", self._score_short_mail)

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
            headers = _headers(request_id) | ({} if span is None else {"traceparent": span.traceparent})
            return await self._ask(body, headers, request_id, len(mails), deadline)

    async def _ask(self, body: bytes, headers: dict[str, str], request_id: str, n: int, deadline: float) -> Scores:
        seconds = min(self._timeout_seconds, deadline - monotonic())
        if seconds <= 0:
            raise Unavailable("the transformer had no time left to ask the predictor", HTTPStatus.GATEWAY_TIMEOUT)

        async def send(replica: Replica, _: float) -> Scores | Unavailable:
            return await self._post(replica, body, headers, request_id, n)

        try:
            scores = await self._replicas.ask(send, seconds, FAILURES)
        except aiohttp.ConnectionTimeoutError:
            raise Unavailable(f"the predictor cannot be reached: no connection within {CONNECT_SECONDS:g} s") from None
        except Unreachable as error:
            raise Unavailable(f"the predictor is not asked now: {error}") from None
        except TimeoutError:
            raise Unavailable("the predictor did not answer in time", HTTPStatus.GATEWAY_TIMEOUT) from None
        except aiohttp.ClientError as error:
            reason = f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]
            raise Unavailable(f"the predictor cannot be reached: {reason}") from None
        if isinstance(scores, Unavailable):
            raise scores
        return scores

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
        fault, ready = "", False
        try:
            async with asyncio.timeout(READY_SECONDS), open_session() as session:
                for replica in await self._replicas.ranked():
                    if await self._says_ready(session, replica):
                        fault = await self._schema.fault(session, replica)
                        ready = not fault
                    if ready:
                        break
        except TimeoutError:
            pass
        if ready or fault:
            self._schema.tell(fault)
        return ready, fault

    async def _score_short_mail(self, session: aiohttp.ClientSession, replica: Replica) -> None:
        body, headers = infer_request([features.extract("")], PROBE_ID), _headers(PROBE_ID) | replica.headers
        async with session.post(replica.url + self._path, data=body, headers=headers) as response:
            answer = await read_bounded(response.content.iter_any(), ANSWER_BYTES)
            if response.status != HTTPStatus.OK:
                raise error_answer(response.status, answer)
            read_response(answer, 1, PROBE_ID)

    async def _says_ready(self, session: aiohttp.ClientSession, replica: Replica) -> bool:
        try:
            async with session.get(replica.url + self._ready_path, headers=replica.headers) as response:
                return response.status == HTTPStatus.OK
        except aiohttp.ClientError:
            return False

    async def close(self) -> None:
        """Close all connections."""
        if self._open_session is not None:
            await self._open_session.close()

    async def _post(
        self, replica: Replica, body: bytes, headers: dict[str, str], request_id: str, n: int
    ) -> Scores | Unavailable:
        """Return scores, or the predictor's refusal of these mails; raise errors that another replica may avoid."""
        url = replica.url + self._path
        async with self._session.post(url, data=body, headers=headers | replica.headers) as response:
            # The answer repeats the id, in the worst case as escapes of six bytes each.
            limit = ANSWER_BYTES + ANSWER_BYTES_PER_MAIL * n + 6 * len(request_id)
            try:
                answer = await read_bounded(response.content.iter_any(), limit)
            except ValueError as error:
                raise nonsense(str(error)) from None
            if response.status == HTTPStatus.OK:
                return self._noted(replica, answer, n, request_id)
            refused = error_answer(response.status, answer)
            if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR or response.status == HTTPStatus.NOT_FOUND:
                raise refused
            return refused

    def _noted(self, replica: Replica, answer: bytes, n: int, request_id: str) -> Scores:
        try:
            scores = read_response(answer, n, request_id)
        except OtherSchema as error:
            self._schema.note(replica, str(error))
            raise
        self._schema.note(replica, "")
        return scores

    @property
    def _session(self) -> aiohttp.ClientSession:
        # Created at the first request, since the event loop does not run before.
        if self._open_session is None:
            self._open_session = open_session()
        return self._open_session


def open_session() -> aiohttp.ClientSession:
    """Open connections to the predictor, without a limit on their number but each with a timeout."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)


def _headers(request_id: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    # The protocol's ids may be any text but header values may not; the body always has the id.
    if len(request_id) <= LONGEST_ID and request_id.isascii() and request_id.isprintable():
        headers[REQUEST_ID] = request_id
    return headers
