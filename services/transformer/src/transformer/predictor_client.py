"""The predictor, asked over the Open Inference Protocol v2."""

import asyncio
import math
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

# A connection that could not be made, or was closed before an answer began, as a replica's are that goes away in a
# rollout: another may take it. Scoring twice does no harm.
CONNECTION_FAILURES = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ConnectionTimeoutError)
CONNECT_SECONDS = 1.0
"""For one connection: an address that no pod has any more does not refuse."""

LONGEST_ID = 128

QUANTILES_OUTPUT = "feature_quantiles"
QUANTILES_SHAPE = [len(features.NAMES), 3, 5]
"""Of each named number, over all, ham and spam of the training mail, the quantiles 5, 25, 50, 75 and 95 %."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The predictor's answer for n mails."""

    spam: list[float]
    model_version: str
    model_sha256: str
    threshold: float | None
    quantiles: list[float] | None = None
    """What the model's training mail was like, `QUANTILES_SHAPE` row by row, where it was asked for and is known."""


class PredictorClient:
    """One predictor and the connections to it."""

    def __init__(self, url: str, model_name: str, timeout_seconds: float) -> None:
        self._replicas = Replicas(url)
        self._path = f"/v2/models/{model_name}/infer"
        self._timeout_seconds = timeout_seconds
        self._open_session: aiohttp.ClientSession | None = None

    async def score(self, mails: Sequence[Features], request_id: str, explain: bool = False) -> Scores:
        """Ask for the spam probability of each mail.

        Args:
            explain: Whether to ask what the training mail was like, too; a predictor that is not ours says nothing.

        Raises:
            Unavailable: The predictor is down (503), too slow (504), or its answer makes no sense (502).
        """
        body = infer_request(mails, request_id, explain)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status, answer = await self._post(body, _headers(request_id))
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


def infer_request(mails: Sequence[Features], request_id: str, explain: bool = False) -> bytes:
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
            "parameters": {"content_type": "pd", "explain": True} if explain else {"content_type": "pd"},
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
        (output,) = [found for found in answer["outputs"] if found.get("name") != QUANTILES_OUTPUT]
        quantiles = _quantiles(answer["outputs"])
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
    return Scores(spam, version, str(parameters.get("model_sha256", "")), threshold, quantiles)


def _quantiles(outputs: list[dict[str, Any]]) -> list[float] | None:
    for output in outputs:
        if output.get("name") == QUANTILES_OUTPUT:
            if output["shape"] != QUANTILES_SHAPE or len(output["data"]) != math.prod(QUANTILES_SHAPE):
                raise ValueError(f"{QUANTILES_OUTPUT} of shape {output['shape']}; expected {QUANTILES_SHAPE}")
            return [float(value) for value in output["data"]]
    return None


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
