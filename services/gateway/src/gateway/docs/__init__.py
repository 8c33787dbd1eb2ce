"""GET /docs: the API's description, to read and to try.

Swagger UI comes with the package that the lock file pins, and from this gateway alone: people type keys into this page.
"""

from importlib.resources import files

from starlette.routing import BaseRoute, Route

from gateway.assets import POLICY, Asset, handler

SWAGGER_UI = ("fastapi_standalone_docs", "static/swagger")
"""The package with Swagger UI's own files, and their folder."""
DOCS_POLICY = POLICY | {"img-src": "'self' data:"}
"""The style sheet has its icons within; Swagger UI's own sanitizer cannot work under trusted types."""


def docs_routes() -> list[BaseRoute]:
    """The page and its files."""
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
