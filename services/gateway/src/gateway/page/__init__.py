"""GET /: a page where people can try the API.

It serves the files of this folder as they are: there is no build step, and nothing is loaded from other hosts.
"""

import html
import json
from importlib.resources import files
from string import Template

from starlette.routing import BaseRoute, Route

from gateway.page.assets import POLICY, TRUSTED_TYPES, Asset, handler
from gateway.settings import GatewaySettings

ASSETS = {
    "/page.css": "text/css",
    "/files.js": "text/javascript",
    "/page.js": "text/javascript",
    "/icon.svg": "image/svg+xml",
}


def page_routes(settings: GatewaySettings) -> list[BaseRoute]:
    """Return the routes of the page and its files; none if the page is switched off."""
    if not settings.page:
        return []
    assets = {path: Asset(_read(path.removeprefix("/")), media_type) for path, media_type in ASSETS.items()}
    assets["/"] = Asset(_index(settings), "text/html")
    policy = POLICY | TRUSTED_TYPES
    return [Route(path, handler(asset, policy), include_in_schema=False) for path, asset in assets.items()]


def _read(name: str) -> bytes:
    return files(__name__).joinpath(name).read_bytes()


def _index(settings: GatewaySettings) -> bytes:
    """Return the HTML of the page, with the environments and limits of this gateway filled in."""
    known = {
        "environments": json.dumps(list(settings.environments)),
        "max_mail_bytes": str(settings.max_mail_bytes),
    }
    template = Template(_read("index.html").decode())
    return template.substitute({name: html.escape(value) for name, value in known.items()}).encode()
