"""The predictor, asked over the Open Inference Protocol v2."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

import features
from features import Features
from oip import Unavailable
from replicas import Replicas, Unreachable
from tracing import Span, part

# A connection that could not be made, or was closed before an answer began, as a replica's are that goes away in a
# rollout: another may take it. Scoring twice does no harm.
CONNECTION_FAILURES = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ConnectionTimeoutError)
CONNECT_SECONDS = 1.0
"""For one connection: an address that no pod has any more does not refuse."""

LONGEST_ID = 256
"""More than a gateway's batch has: a request's own id, of 128 characters at most, behind a number."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The predictor's answer for n mails."""

    spam: list[float]
    model_version: str
    model_sha256: str
    threshold: float | None


class PredictorClient:
    """One predictor and the connections to it."""

    def __init__(self, url: str, model_name: str, timeout_seconds: float) -> None:
        self._replicas = Replicas(url)
        self._path = f"/v2/models/{model_name}/infer"
        self._timeout_seconds = timeout_seconds
        self._open_session: aiohttp.ClientSession | None = None

    async def score(self, mails: Sequence[Features], request_id: str) -> Scores:
        """Ask for the spam probability of each mail.

        Raises:
            Unavailable: The predictor is down (503), too slow (504), or its answer makes no sense (502).
        """
        with part("ask the predictor", client=True, mails=len(mails)) as span:
            return await self._score(mails, request_id, span)

    async def _score(self, mails: Sequence[Features], request_id: str, span: Span | None) -> Scores:
        body, headers = infer_request(mails, request_id), _headers(request_id)
        if span is not None:
            headers["traceparent"] = span.traceparent
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status, answer = await self._post(body, headers)
        except (aiohttp.ConnectionTimeoutError, Unreachable):
            raise Unavailable(f"the predictor cannot be reached: no connection within {CONNECT_SECONDS:g} s") from None
        except TimeoutError:
            raise Unavailable("the predictor did not answer in time", HTTPStatus.GATEWAY_TIMEOUT) from None
        except aiohttp.ClientError as error:
            raise Unavailable(f"the predictor cannot be reached: {type(error).__name__}: {error}") from None
        if status != HTTPStatus.OK:
            raise _refused(status, answer)
        return read_response(answer, len(mails))

    async def close(self) -> None:
        """Close the connections."""
        if self._open_session is not None:
            await self._open_session.close()

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            return await self._post_once(body, headers)
        except CONNECTION_FAILURES:
            return await self._post_once(body, headers)

    async def _post_once(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        with await self._replicas.pick() as replica:
            url, headers = replica.url + self._path, headers | replica.headers
            async with self._session.post(url, data=body, headers=headers) as response:
                return response.status, await response.read()

    @property
    def _session(self) -> aiohttp.ClientSession:
        # Made at the first request, since the server's event loop does not run before.
        if self._open_session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
            self._open_session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        return self._open_session


def _headers(request_id: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    # The protocol's ids may be any text, the values of headers may not; the body has the id in any case.
    if len(request_id) <= LONGEST_ID and request_id.isascii() and request_id.isprintable():
        headers["X-Request-ID"] = request_id
    return headers


def infer_request(mails: Sequence[Features], request_id: str) -> bytes:
    """The v2 request for n mails: one input a column, so that any server of scikit-learn pipelines can answer it."""
    n = len(mails)
    text = {
        "name": "text",
        "datatype": "BYTES",
        "shape": [n, 1],
        "parameters": {"content_type": "str"},
        "data": [mail.text for mail in mails],
    }
    columns = zip(features.NAMES, zip(*(mail.values for mail in mails), strict=True), strict=True)
    numeric = [{"name": name, "datatype": "FP32", "shape": [n, 1], "data": data} for name, data in columns]
    return orjson.dumps(
        {
            "id": request_id,
            "parameters": {"content_type": "pd"},
            "inputs": [text, *numeric],
            "outputs": [{"name": "predict_proba"}],
        }
    )


def read_response(body: bytes, n: int) -> Scores:
    """Take the one output of shape [n, 2], whatever its name; its last column is spam.

    Raises:
        Unavailable: The body is no such answer (502).
    """
    try:
        answer = orjson.loads(body)
        (output,) = answer["outputs"]
        spam = [float(p) for p in _last_column(output["data"])]
        parameters = answer.get("parameters") or {}
        threshold = _threshold(parameters)
        version = str(answer.get("model_version") or "unknown")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _nonsense(f"{type(error).__name__}: {error}") from None
    if output.get("shape") != [n, 2] or len(spam) != n:
        raise _nonsense(f"{len(spam)} scores of shape {output.get('shape')} for {n} mails")
    if not all(0 <= p <= 1 for p in spam):
        raise _nonsense("a score is no probability")
    _check_schema(parameters)
    return Scores(spam, version, str(parameters.get("model_sha256", "")), threshold)


def _last_column(data: list[Any]) -> list[Any]:
    return [row[1] for row in data] if data and isinstance(data[0], list) else data[1::2]


def _threshold(parameters: dict[str, Any]) -> float | None:
    threshold = parameters.get("threshold")
    if threshold is None:
        return None
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold {threshold} is not between 0 and 1")
    return float(threshold)


def _check_schema(parameters: dict[str, Any]) -> None:
    """Columns of the same name may mean something else in another schema: refuse rather than misjudge."""
    trained_on = parameters.get("feature_schema_version", features.SCHEMA_VERSION)
    if trained_on != features.SCHEMA_VERSION:
        raise Unavailable(
            f"the model was trained on feature schema {trained_on}, this transformer makes {features.SCHEMA_VERSION};"
            " release the transformer image and the model of one schema together"
        )


def _refused(status: int, body: bytes) -> Unavailable:
    reason = body[:500].decode("utf-8", "replace")
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE):
        return Unavailable(f"the predictor is not ready: {status} {reason}")
    return Unavailable(f"the predictor refused the features: {status} {reason}", HTTPStatus.BAD_GATEWAY)


def _nonsense(why: str) -> Unavailable:
    return Unavailable(f"the predictor's answer makes no sense: {why}", HTTPStatus.BAD_GATEWAY)
