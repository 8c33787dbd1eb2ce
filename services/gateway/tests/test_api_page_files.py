"""API documentation page as a client gets it; tests/system/test_api_page.py opens it in a browser."""

import asyncio
import re
from collections.abc import MutableMapping
from importlib.resources import files
from typing import Any

import httpx
import pytest
from clients import app_of, in_process

import gateway.page.docs

PATHS = ["/docs", "/docs/docs.js", "/docs/docs.css", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"]


def client() -> httpx.AsyncClient:
    return in_process(app_of())


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_is_loaded_from_elsewhere_and_nothing_inline_runs(path: str) -> None:
    async with client() as http:
        response = await http.get(path)
    assert response.status_code == 200
    policy = dict(each.strip().split(" ", 1) for each in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


async def test_the_page_names_files_of_this_gateway_only() -> None:
    async with client() as http:
        page = (await http.get("/docs")).text
        named = re.findall(r'(?:src|href)="([^"]*)"', page)
        for path in set(named) - {"data:,"}:
            assert (await http.get(f"/{path}")).status_code == 200, path
    assert not re.search(r"<script>|<style|\son\w+=|//", page.replace("<!doctype html>", ""))


async def test_files_are_kept_as_long_as_they_are_the_same() -> None:
    async with client() as http:
        first = await http.get("/docs/swagger-ui-bundle.js")
        again = await http.get("/docs/swagger-ui-bundle.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_large_file_is_sent_whole_though_in_pieces() -> None:
    async with client() as http:
        response = await http.get("/docs/swagger-ui-bundle.js")
    package, folder = gateway.page.docs.SWAGGER_UI
    assert response.content == files(package).joinpath(folder, "swagger-ui-bundle.js").read_bytes()
    assert int(response.headers["content-length"]) == len(response.content) > 1_000_000


@pytest.mark.parametrize("time", ["first", "second"])
async def test_a_client_that_reads_slowly_is_sent_no_more_than_it_reads(time: str) -> None:
    app = app_of()
    scope = {"type": "http", "method": "GET", "path": "/docs/swagger-ui-bundle.js", "headers": [], "query_string": b""}
    pieces: list[bytes] = []

    async def receive() -> dict[str, object]:
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        pieces.append(bytes(message.get("body", b"")))

    for _ in range(1 if time == "first" else 2):
        pieces.clear()
        await app({**scope, "raw_path": scope["path"].encode()}, receive, send)
    assert sum(map(len, pieces)) > 1_000_000
    assert max(map(len, pieces)) <= 65_536


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect", "/docs/", "/docs/../app.py", "/docs/LICENSE"])
async def test_there_is_nothing_else(path: str) -> None:
    async with client() as http:
        response = await http.get(path)
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
