"""Static files for browsers: cached until they change, and sent no faster than the client reads."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

CHUNK_BYTES = 65_536
"""Bytes of a piece of a larger file, so that a client that reads nothing keeps little of it in memory."""

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Browsers keep the file but revalidate it each time, so a new gateway shows its own page at once.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class Asset:
    """A file with its media type and entity tag (RFC 9110, section 8.8.3)."""

    content: bytes
    media_type: str

    @cached_property
    def etag(self) -> str:
        """Return the entity tag: a hash of the content, in quotes."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'


POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
"""Content-Security-Policy of a page that loads from this origin only and has no inline scripts or styles."""
TRUSTED_TYPES = {"require-trusted-types-for": "'script'", "trusted-types": "'none'"}
"""Additional policy for a page whose scripts never turn text into markup."""


def handler(asset: Asset, policy: Mapping[str, str]) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a file; its answers carry this Content-Security-Policy."""
    directives = "; ".join(f"{name} {value}" for name, value in policy.items())
    headers = {"Content-Security-Policy": directives, **HEADERS, "ETag": asset.etag}

    async def answer(request: Request) -> Response:
        named = [name.strip().removeprefix("W/") for name in request.headers.get("if-none-match", "").split(",")]
        if asset.etag in named:
            return Response(status_code=HTTPStatus.NOT_MODIFIED.value, headers=headers)
        if len(asset.content) <= CHUNK_BYTES:
            return Response(asset.content, headers=headers, media_type=asset.media_type)
        sized = headers | {"Content-Length": str(len(asset.content))}
        return StreamingResponse(_pieces(asset.content), headers=sized, media_type=asset.media_type)

    return answer


async def _pieces(content: bytes) -> AsyncIterator[memoryview]:
    for start in range(0, len(content), CHUNK_BYTES):
        yield memoryview(content)[start : start + CHUNK_BYTES]
