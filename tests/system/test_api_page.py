"""Tests of the API's page in a real browser that reaches no other host, because people type keys into it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conftest import System
from playwright.async_api import Browser, Page, expect

OPERATIONS = ["predict", "batch_predict", "explain", "health", "ready", "metrics"]
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
    window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""


@pytest.fixture
async def docs(browser: Browser, shared: System) -> AsyncIterator[Page]:
    """Yield the page, and check after any test that nothing is loaded from elsewhere and nothing breaks the policy."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    await page.add_init_script(VIOLATIONS)
    requested: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    await page.goto(f"{shared.url}/docs")
    yield page
    violations = await page.evaluate("window.violations")
    await context.close()
    assert [url for url in requested if not url.startswith((f"{shared.url}/", "data:"))] == []
    assert violations == []
    assert [line for line in complaints if "the server responded with a status of" not in line] == []


async def test_each_operation_is_there_by_its_short_name(docs: Page) -> None:
    for name in OPERATIONS:
        await expect(docs.locator(f".opblock[id$='-{name}']")).to_be_visible()
    await expect(docs.get_by_text("ProblemDetails", exact=True).first).to_be_visible()
    assert await docs.evaluate("getComputedStyle(document.querySelector('.opblock')).borderRadius") == "4px"


async def tried(page: Page, name: str, body: str | None = None) -> dict[str, Any]:
    """Return the server's answer to a person who tries an operation; the page shows it too."""
    operation = page.locator(f".opblock[id$='-{name}']")
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    if body is not None:
        await operation.locator("textarea.body-param__text").fill(body)
    await operation.get_by_role("button", name="Execute").click()
    shown = operation.locator(".live-responses-table .response .highlight-code code").first
    await expect(shown).to_be_visible()
    found: dict[str, Any] = json.loads(await shown.inner_text())
    return found


async def test_a_mail_can_be_tried(docs: Page) -> None:
    answer = await tried(docs, "predict", '{"email_content": "See you at ten."}')
    assert answer["prediction"] in ("ham", "spam")
    assert 0 < answer["threshold"] < 1
    assert answer["environment"] == "staging"


async def test_what_is_filled_in_already_works(docs: Page) -> None:
    assert (await tried(docs, "batch_predict"))["count"] == 2


async def test_a_wrong_body_is_told_what_to_send(docs: Page) -> None:
    answer = await tried(docs, "explain", "Subject: raw\n\nSee you at ten.")
    assert answer["status"] == 422
    assert "looks like a raw mail" in answer["detail"]


async def test_a_link_leads_to_an_operation(docs: Page) -> None:
    await docs.locator(".opblock[id$='-health'] .opblock-summary-control").click()
    link = await docs.evaluate("location.href")
    assert link.endswith("#/probes/health")
    await docs.reload()
    await expect(docs.locator(".opblock[id$='-health'] .opblock-body")).to_be_visible()


async def test_a_key_is_forgotten_with_the_page(docs: Page) -> None:
    assert await docs.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])") == '[{},{},""]'
