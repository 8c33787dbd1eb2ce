"""GET /docs: the API documentation, to read and to try.

Swagger UI comes from the package that the lock file pins and is served by this gateway alone, since people type keys
into this page.
"""

from importlib.resources import files

from starlette.routing import BaseRoute, Route

from gateway.page.assets import POLICY, Asset, handler

SWAGGER_UI = ("fastapi_standalone_docs", "static/swagger")
"""Package with Swagger UI's files, and their folder in it."""
DOCS_POLICY = POLICY | {"img-src": "'self' data:"}
"""The page's Content-Security-Policy: its icons are inline, and Swagger UI's sanitizer fails under trusted types."""


def docs_routes() -> list[BaseRoute]:
    """Return the routes of the page and its files."""
    package, folder = SWAGGER_UI
    own, swagger_ui = files(__name__), files(package).joinpath(folder)
    assets = {
        "/docs": Asset(own.joinpath("index.html").read_bytes(), "text/html"),
        "/docs/docs.js": Asset(own.joinpath("docs.js").read_bytes(), "text/javascript"),
        "/docs/docs.css": Asset(own.joinpath("docs.css").read_bytes(), "text/css"),
        "/docs/swagger-ui.css": Asset(swagger_ui.joinpath("swagger-ui.css").read_bytes(), "text/css"),
        "/docs/swagger-ui-bundle.js": Asset(
            swagger_ui.joinpath("swagger-ui-bundle.js").read_bytes(), "text/javascript"
        ),
    }
    return [Route(path, handler(asset, DOCS_POLICY), include_in_schema=False) for path, asset in assets.items()]
