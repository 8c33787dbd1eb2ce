"""Client of one model on a service's replicas, over the Open Inference Protocol v2."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Generic, TypeVar

import aiohttp

from contract.headers import DEADLINE, REQUEST_ID
from contract.limits import ANSWER_BYTES, ANSWER_BYTES_PER_MAIL
from inference import policy
from inference.answers import UNREADABLE, error_text, printable, read_bounded
from inference.errors import BrokenAnswer, ConnectionFailed, ErrorAnswer, Unusable
from inference.replica import Replica
from inference.replicas import Replicas
from runtime.tracing import Span

LONGEST_ID = 256
"""Characters of the longest id in a header.

A gateway's batch has fewer: an id of at most 128 characters behind a number.
"""

T = TypeVar("T")
FindFault = Callable[[aiohttp.ClientSession, Replica], Awaitable[str]]
"""Returns why a ready replica cannot be used, or "" if it can."""


# Not frozen: that would cost a microsecond for each request.
@dataclass(slots=True)
class Call(Generic[T]):
    """A request for inference, and the function that reads its answer."""

    body: bytes
    id: str
    mails: int
    read: Callable[[bytes, Replica], T]
    """Returns the answer; raises what `UNREADABLE` names, or `Unusable`."""
    span: Span | None = None
    """Span of the call, if it is sampled."""


@dataclass(slots=True)
class ReadyState:
    """The readiness of a service, and what its replicas said."""

    ready: bool = False
    """Whether a replica is ready and can be used."""
    unready_reason: str = ""
    """Last reason that an unready replica gave, or ""."""
    fault: str = ""
    """Why the last ready replica cannot be used, or ""."""


def open_session() -> aiohttp.ClientSession:
    """Open connections to replicas, without a limit on their number but each with a timeout."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=policy.CONNECT_SECONDS)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)


class InferenceClient:
    """Client of one model on a service's replicas.

    Args:
        replicas: The replicas, whose policy says what is tried again.
        model_name: Name of the model in the protocol's paths.
        session: Connections that belong to the caller; None for the client's own, opened at its first request.
        own_server: Whether the server is this project's, and so takes binary framing and `X-Deadline-Ms`.
        retried: Called before each retry.
    """

    def __init__(
        self,
        replicas: Replicas,
        model_name: str,
        session: aiohttp.ClientSession | None = None,
        own_server: bool = False,
        retried: Callable[[], None] = lambda: None,
    ) -> None:
        self.replicas = replicas
        """The replicas that get the requests."""
        self.model_path = f"/v2/models/{model_name}"
        """Path of the model's metadata."""
        self._infer_path = f"{self.model_path}/infer"
        self._ready_path = f"{self.model_path}/ready"
        self._session = session
        self._owns_session = session is None
        self._own_server = own_server
        self._retried = retried

    async def ask(self, call: Call[T], seconds: float) -> T:
        """Return the answer of one replica, or after a failure of another one.

        Raises:
            ErrorAnswer: The last replica answered with an error.
            Unusable: The last answer cannot be used.
            ConnectionFailed: The last connection failed.
            Unreachable: No replica may be tried.
            TimeoutError: There was no answer in time.
        """

        def retried() -> None:
            self._retried()
            if call.span is not None:
                call.span.event("retry")

        try:
            return await self.replicas.ask(partial(self.send, call), seconds, retried)
        except aiohttp.ConnectionTimeoutError:
            raise ConnectionFailed(f"no connection within {policy.CONNECT_SECONDS:g} s") from None
        except aiohttp.ClientError as error:
            raise ConnectionFailed(type(error).__name__, str(error)) from None

    async def send(
        self, call: Call[T], replica: Replica, seconds: float, session: aiohttp.ClientSession | None = None
    ) -> T:
        """Send a request once, to this replica, which has so many seconds; raise as `ask`, but aiohttp's errors."""
        # A replica that hangs may only get a copy whose answer is discarded.
        if call.span is not None and not replica.hangs:
            call.span.set(replica=replica.url)
        session = session or self._session or self._open()
        headers = self._headers(call, replica, seconds)
        async with session.post(replica.url + self._infer_path, data=call.body, headers=headers) as response:
            try:
                answer = await read_bounded(response.content.iter_any(), _answer_limit(call))
                if response.status == HTTPStatus.OK:
                    return call.read(answer, replica)
            except UNREADABLE as error:
                raise Unusable(f"{type(error).__name__}: {error}") from None
            kind = BrokenAnswer if response.status in policy.BROKEN else ErrorAnswer
            raise kind(response.status, answer)

    async def ready_state(self, seconds: float, find_fault: FindFault | None = None) -> ReadyState:
        """Return whether a replica says in time that it is ready, and what the others say.

        The check has a connection of its own and no limit on mail applies to it, so neither can exhaust the other.

        Args:
            seconds: Seconds for all replicas together.
            find_fault: Checks each replica that says it is ready.
        """
        state = ReadyState()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), open_session() as session:
                for replica in await self.replicas.ranked():
                    if await self._says_ready(session, replica, state):
                        state.fault = await find_fault(session, replica) if find_fault else ""
                        state.ready = not state.fault
                    if state.ready:
                        break
        return state

    async def close(self) -> None:
        """Close the client's own connections."""
        if self._owns_session and self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        # Opened at the first request, since the event loop does not run before.
        self._session = open_session()
        return self._session

    def _headers(self, call: Call[T], replica: Replica, seconds: float) -> dict[str, str]:
        headers = {"Content-Type": "application/json", **replica.headers}
        if self._own_server:
            # The protocol's binary framing without binary tensors: the SDK then reads the JSON with orjson, in a
            # fraction of the time that plain JSON takes.
            headers["Content-Type"] = "application/octet-stream"
            headers["Inference-Header-Content-Length"] = str(len(call.body))
            headers[DEADLINE] = str(max(1, int(seconds * 1000)))
        # The protocol's ids may be any text but header values may not; the body always has the id.
        if len(call.id) <= LONGEST_ID and call.id.isascii() and call.id.isprintable():
            headers[REQUEST_ID] = call.id
        if call.span is not None:
            headers["traceparent"] = call.span.traceparent
        return headers

    async def _says_ready(self, session: aiohttp.ClientSession, replica: Replica, state: ReadyState) -> bool:
        try:
            async with session.get(replica.url + self._ready_path, headers=replica.headers) as response:
                if response.status == HTTPStatus.OK:
                    return True
                said = await read_bounded(response.content.iter_any(), ANSWER_BYTES)
                state.unready_reason = printable(error_text(said) or "") or state.unready_reason
        except (aiohttp.ClientError, ValueError):
            pass
        return False


def _answer_limit(call: Call[T]) -> int:
    # The answer repeats the id, in the worst case as escapes of six bytes each.
    return ANSWER_BYTES + ANSWER_BYTES_PER_MAIL * call.mails + 6 * len(call.id)
