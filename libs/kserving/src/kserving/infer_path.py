"""Fast path for inference requests, in front of the framework.

The SDK's server parses a request with a slower JSON parser, validates it value by value, encodes it twice and times it
in a middleware whose log is off. That is three quarters of a hop's cost. The fast path parses and encodes once. It
calls the same `Model` object, with its `preprocess`, `predict`, `postprocess` and the SDK's latency histograms.
Everything unusual is passed on: binary tensors, CloudEvents, protocol v1 and models that are not ready.
"""

import logging
from typing import Any

import orjson
from fastapi.responses import JSONResponse
from kserve import InferOutput, InferRequest, InferResponse, Model
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kserving.errors import InvalidInput, Unavailable
from runtime.tracing import Span, Tracer, current, entered

log = logging.getLogger("kserving")

JSON_LENGTH = "inference-header-content-length"


class InferPath:
    """ASGI middleware that answers plain `POST /v2/models/NAME/infer` and passes all else on."""

    def __init__(self, app: ASGIApp, model: Model, tracer: Tracer | None = None) -> None:
        self._app = app
        self._tracer = tracer
        self._model = model
        self._path = f"/v2/models/{model.name}/infer"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._model.ready or not _is_plain(headers):
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        with entered(self._span(headers)) as span:
            response = await self._answer(body, dict(headers))
            if span is not None:
                span.set(http__response__status_code=response.status_code)
        await response(scope, receive, send)

    def _span(self, headers: Headers) -> Span | None:
        """Return the span of a request, or None unless the previous hop sent it with a sampled span."""
        if self._tracer is None:
            return None
        span = self._tracer.follow(f"POST {self._path}", headers.get("traceparent"))
        if span is not None:
            span.set(http__request__method="POST", url__path=self._path, request__id=headers.get("x-request-id", ""))
        return span

    async def _answer(self, body: bytes, headers: dict[str, str]) -> Response:
        try:
            request = decode(body, self._model.name)
            response, _ = await self._model(request, headers=headers)
            return Response(encode(response), media_type="application/json")
        except InvalidInput as error:
            return invalid(error)
        except Unavailable as error:
            return unavailable(error, headers.get("x-request-id"))
        except Exception as error:
            log.exception("inference failed", extra=_named(headers.get("x-request-id")))
            _fail(type(error).__name__, str(error))
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 500)


def invalid(error: InvalidInput) -> JSONResponse:
    """Return a 400 in the protocol's format. The client is at fault, so the span does not fail."""
    if (span := current()) is not None:
        span.set(error__type="invalid-input")
    return JSONResponse({"error": str(error)}, 400)


def unavailable(error: Unavailable, request_id: str | None) -> JSONResponse:
    """Log the error and return its status in the protocol's format."""
    log.warning("unavailable", extra={"reason": str(error), **_named(request_id)})
    _fail("unavailable", str(error))
    return JSONResponse({"error": str(error)}, error.status)


def _named(request_id: str | None) -> dict[str, str | None]:
    """Return fields that identify the request in a log line: its id, and its trace if it has one."""
    span = current()
    return {"request_id": request_id} | ({} if span is None else {"trace_id": span.trace_id})


def _fail(kind: str, detail: str) -> None:
    if (span := current()) is not None:
        span.fail(kind, detail)


def decode(body: bytes, model_name: str) -> InferRequest:
    """Return a request whose tensors are all JSON.

    Raises:
        InvalidInput: The body is not such a request.
    """
    try:
        request = InferRequest.from_bytes(body, len(body), model_name)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InvalidInput(f"not an Open Inference Protocol v2 request: {reason}") from None
    _check_types(request)
    return request


def _check_types(request: InferRequest) -> None:
    """Refuse values that the SDK accepts unchecked and that would break models."""
    if not isinstance(request.parameters, dict | None):
        raise InvalidInput(f"'parameters' is a {type(request.parameters).__name__}; expected an object")
    if not isinstance(request.id, str | None):
        raise InvalidInput(f"'id' is a {type(request.id).__name__}; expected a string")
    for named in [*request.inputs, *(request.request_outputs or [])]:
        if not isinstance(named.name, str):
            raise InvalidInput(f"an input or output has a {type(named.name).__name__} as its name; expected a string")
    for tensor in request.inputs:
        if not isinstance(tensor.data, list) or not isinstance(tensor.shape, list):
            raise InvalidInput(f"input '{tensor.name}' has no list of data or no list as its shape")


def encode(response: InferResponse) -> bytes:
    """Encode a response whose tensors are lists."""
    answer: dict[str, Any] = {
        "model_name": response.model_name,
        "model_version": response.model_version,
        "id": response.id,
        "outputs": [_tensor(output) for output in response.outputs],
    }
    if response.parameters:
        answer["parameters"] = response.parameters
    return orjson.dumps(answer)


def _tensor(output: InferOutput) -> dict[str, Any]:
    return {"name": output.name, "shape": output.shape, "datatype": output.datatype, "data": output.data}


def _is_plain(headers: Headers) -> bool:
    """Return whether the body is pure JSON.

    It is by its type, without a type, as Triton's client sends it, or with all of it JSON in the binary framing.
    """
    if "ce-specversion" in headers:
        return False
    json_length = headers.get(JSON_LENGTH)
    if json_length is not None:
        return json_length == headers.get("content-length")
    return headers.get("content-type", "application/json").partition(";")[0].strip().lower() == "application/json"


async def _read(receive: Receive) -> bytes | None:
    """Return the body, or None if the client has gone."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
