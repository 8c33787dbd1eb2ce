"""GET /: a page to try it, for people.

Three files, as they are in this folder: nothing is built, and nothing is loaded from anywhere else.
"""

import hashlib
import html
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from string import Template

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.settings import Settings

ASSETS = {"/page.css": "text/css", "/page.js": "text/javascript", "/icon.svg": "image/svg+xml"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Kept, and asked for each time whether it is still the same: a new gateway shows its own page at once.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, and the name of this very content (RFC 9110, section 8.8.3)."""

    content: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """The content's own name, in quotes."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'


def page_routes(settings: Settings) -> list[BaseRoute]:
    """The page and its files; none where the page is switched off."""
    if not settings.page:
        return []
    assets = {path: Asset(_read(path.removeprefix("/")), media_type) for path, media_type in ASSETS.items()}
    assets["/"] = Asset(_index(settings), "text/html")
    return [Route(path, _handler(asset), include_in_schema=False) for path, asset in assets.items()]


def _read(name: str) -> bytes:
    return files(__name__).joinpath(name).read_bytes()


def _index(settings: Settings) -> bytes:
    """The page, which has to know what may be asked of this gateway."""
    known = {
        "environments": json.dumps(list(settings.environments)),
        "max_mail_bytes": str(settings.max_mail_bytes),
    }
    template = Template(_read("index.html").decode())
    return template.substitute({name: html.escape(value) for name, value in known.items()}).encode()


def _handler(asset: Asset) -> Callable[[Request], Awaitable[Response]]:
    headers = {**HEADERS, "ETag": asset.etag}

    async def answer(request: Request) -> Response:
        named = [name.strip().removeprefix("W/") for name in request.headers.get("if-none-match", "").split(",")]
        if asset.etag in named:
            return Response(status_code=HTTPStatus.NOT_MODIFIED.value, headers=headers)
        return Response(asset.content, headers=headers, media_type=asset.media_type)

    return answer
