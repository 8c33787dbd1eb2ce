"""Page files as a client gets them; tests/system/test_page_in_browser.py opens the page in a browser."""

import html
import json
import re
from pathlib import Path

import httpx
import pytest
from clients import app_of, in_process

import gateway.page

URL = "http://127.0.0.1:1"
PATHS = ["/", "/page.css", "/files.js", "/page.js", "/icon.svg"]


def client(**settings: object) -> httpx.AsyncClient:
    return in_process(app_of(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", PATHS)
async def test_files_are_kept_by_clients_only_as_long_as_they_are_the_same(path: str) -> None:
    async with client() as http:
        first = await http.get(path)
        assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
        known = {"If-None-Match": f'"other", W/{first.headers["etag"]}'}
        again = await http.get(path, headers=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        assert (await http.get(path, headers={"If-None-Match": '"other"'})).content == first.content
        assert (await http.head(path)).status_code == 200


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_but_the_gateway_is_trusted(path: str) -> None:
    async with client() as http:
        response = await http.get(path)
    policy = dict(each.strip().split(" ", 1) for each in response.headers["content-security-policy"].split(";"))
    assert policy.pop("default-src") == "'none'"
    assert {source for name, sources in policy.items() if name.endswith("-src") for source in sources.split()} == {
        "'self'"
    }
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_page_knows_what_the_gateway_takes() -> None:
    async with client(environments={"staging": URL, 'a"><b>': URL}, max_mail_bytes=77) as http:
        page = (await http.get("/")).text
    (environments,) = re.findall(r'data-environments="([^"]*)"', page)
    assert json.loads(html.unescape(environments)) == ["staging", 'a"><b>']
    assert "<b>" not in page
    assert 'data-max-mail-bytes="77"' in page


async def test_another_content_has_another_etag() -> None:
    async with client() as one, client(max_mail_bytes=77) as other:
        assert (await one.get("/")).headers["etag"] != (await other.get("/")).headers["etag"]


@pytest.mark.parametrize("path", PATHS)
async def test_switched_off_there_is_none(path: str) -> None:
    async with client(page=False) as http:
        response = await http.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_nothing_of_a_mail_can_become_markup() -> None:
    folder = Path(gateway.page.__file__).parent
    script = (folder / "page.js").read_text() + (folder / "files.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script)
