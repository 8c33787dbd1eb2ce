"""The gateway's page in a real browser, before real environments."""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import chromium
import pytest
from conftest import ROOT, System, free_port, start, wait_for
from playwright.async_api import Browser, Page, Request, Route, ViewportSize, expect

MAIL = (
    "Subject: WIN $1,000,000 now!!!\r\n\r\n"
    "CLICK http://192.0.2.7/claim for FREE money!!!\r\n<b>caf\u00e9</b> <script>window.hacked = 1</script>\r\n"
)
EVIL = "<img src=x onerror='window.hacked = 1'>"
ENVIRONMENTS = ["staging", "production"]
WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 320, "height": 640}


class Visit:
    """The page, opened; what it asked for, and what it complained of."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)

    def asked(self) -> list[Request]:
        return [request for request in self.requests if request.method == "POST"]

    def bodies(self) -> list[str]:
        return [json.loads(request.post_data_buffer or b"")["email_content"] for request in self.asked()]

    async def judge(self, mail: str) -> None:
        await self.page.get_by_label("Mail", exact=True).fill(mail)
        await self.page.get_by_role("button", name="Judge").click()
        await self.answered()

    async def answered(self) -> None:
        await expect(self.page.locator("#cards section")).to_have_count(2)
        await expect(self.page.locator("#cards [aria-busy]")).to_have_count(0)

    def card(self, environment: str) -> Any:
        return self.page.get_by_role("region", name=environment, exact=True)


@pytest.fixture
async def visit(browser: Browser, shared: System) -> AsyncIterator[Visit]:
    """Of any test: nothing is loaded from elsewhere, nothing breaks the policy, no script fails."""
    context = await browser.new_context(viewport=WIDE)
    found = Visit(await context.new_page(), shared.url)
    await found.page.goto(shared.url)
    yield found
    elsewhere = [request.url for request in found.requests if not request.url.startswith(f"{shared.url}/")]
    hacked = await found.page.evaluate("window.hacked")
    await context.close()
    assert elsewhere == []
    # Of an answer that is an error, Chromium itself writes a line.
    assert [line for line in found.complaints if "the server responded with a status of" not in line] == []
    assert hacked is None


async def explained(shared: System, http: aiohttp.ClientSession, environment: str, mail: str) -> dict[str, Any]:
    headers = {"X-Environment": environment}
    async with http.post(f"{shared.url}/api/v1/explain", json={"email_content": mail}, headers=headers) as response:
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


async def test_a_pasted_mail_is_judged_by_each_environment(
    visit: Visit, shared: System, http: aiohttp.ClientSession, model: Path
) -> None:
    await visit.judge(MAIL)
    for environment in ENVIRONMENTS:
        answer = await explained(shared, http, environment, visit.bodies()[0])
        card = visit.card(environment)
        await expect(card).to_contain_text("over 99.9 % spam" if answer["spam_probability"] > 0.999 else "% spam")
        await expect(card.locator("strong")).to_have_text(answer["prediction"].capitalize())
        await expect(card).to_contain_text(answer["model_version"])
        await expect(card).to_contain_text(hashlib.sha256((model / "model.json").read_bytes()).hexdigest()[:12])
    await expect(visit.page.get_by_role("status")).to_contain_text("staging: ")
    await expect(visit.page.locator("#compared")).to_have_text("The environments agree. They run the same model.")
    sent = {request.headers["x-environment"] for request in visit.asked()}
    assert sent == set(ENVIRONMENTS)


async def test_features_are_shown_beside_the_mail_of_the_training(
    visit: Visit, shared: System, http: aiohttp.ClientSession
) -> None:
    await visit.judge(MAIL)
    rows = visit.page.locator("#features tbody tr")
    await expect(rows).to_have_count(8)
    await expect(rows.first).not_to_contain_text("usual")
    await visit.page.get_by_role("button", name="Show all 28 numbers").click()
    await expect(rows).to_have_count(28)
    await expect(rows.last).to_contain_text("usual")
    await expect(rows.locator("svg.strip")).to_have_count(28)
    answer = await explained(shared, http, "staging", visit.bodies()[0])
    assert all(each["baseline"]["spam"]["p50"] >= 0 for each in answer["features"])
    marks = next(each for each in answer["features"] if each["name"] == "exclamation_marks")
    row = rows.filter(has_text="exclamation marks in the text")
    await expect(row.locator(".measured > b")).to_have_text(f"{marks['value']:g}")
    await expect(row).to_contain_text(f"ham {marks['baseline']['ham']['p05']:g} to {marks['baseline']['ham']['p95']:g}")


async def test_a_mail_is_text_and_never_markup(visit: Visit) -> None:
    await visit.judge(MAIL + EVIL)
    assert await visit.page.locator("img, iframe, b:has-text('caf\u00e9')").count() == 0
    assert EVIL in await visit.page.get_by_label("Mail", exact=True).input_value()


async def answer_with(page: Page, answers: dict[str, dict[str, Any]], status: int = 200) -> None:
    """Answers that real environments do not give."""

    async def fulfil(route: Route) -> None:
        answer = answers[route.request.headers["x-environment"]]
        await route.fulfill(status=status, json=answer, headers={"x-request-id": EVIL, "x-model-sha256": EVIL})

    await page.route("**/api/v1/explain", fulfil)


def answer(p: float = 0.5, value: float = 1, words: str = "m") -> dict[str, Any]:
    feature = {"name": words, "description": words, "value": value, "baseline": None}
    prediction = "spam" if p >= 0.5 else "ham"
    return {"prediction": prediction, "spam_probability": p, "model_version": words, "features": [feature]}


async def test_an_answer_is_text_and_never_markup(visit: Visit) -> None:
    problem = {"title": EVIL, "detail": EVIL, "request_id": EVIL}
    await answer_with(visit.page, {"staging": answer(words=EVIL), "production": answer(words=EVIL)})
    await visit.judge("x")
    await expect(visit.card("staging")).to_contain_text(EVIL)
    await expect(visit.page.locator("#features")).to_contain_text(EVIL)
    await visit.page.unroute("**/api/v1/explain")
    await answer_with(visit.page, {"staging": problem, "production": problem}, status=502)
    await visit.judge("y")
    await expect(visit.card("staging").locator("strong")).to_have_text(EVIL)
    assert await visit.page.locator("img").count() == 0


async def test_differences_between_environments_are_marked(visit: Visit) -> None:
    await answer_with(visit.page, {"staging": answer(0.9, 1), "production": answer(0.2, 2)})
    await visit.judge("x")
    await expect(visit.page.locator("#compared")).to_contain_text("disagree, 70.0 % apart")
    await expect(visit.page.locator("#features thead th")).to_have_text(["Number", "staging", "production"])
    await expect(visit.page.locator("#features .differs")).to_have_count(1)
    await expect(visit.page.locator("#features")).to_contain_text("nothing to compare with")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("way", ["dropped", "chosen"])
async def test_files_are_judged_byte_for_byte(visit: Visit, tmp_path: Path, encoding: str, way: str) -> None:
    path = tmp_path / "mail.eml"
    path.write_bytes(MAIL.encode(encoding) + b"\x0c\0\r\n")
    if way == "dropped":
        await drop(visit.page, path)
    else:
        await visit.page.get_by_label("Open a file").set_input_files(path)
    await expect(visit.page.get_by_label("Mail", exact=True)).to_have_value(lines("caf\u00e9"))
    await visit.page.get_by_role("button", name="Judge").click()
    await visit.answered()
    assert visit.bodies() == [MAIL + "\x0c\0\r\n"] * 2


def lines(part: str) -> Any:
    return re.compile(re.escape(part))


async def test_of_two_bytes_that_differ_between_latin_1_and_windows_none_is_lost(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "mail.eml"
    path.write_bytes(b"Subject: \x80\x9f\xe9\n\nx")
    await drop(visit.page, path)
    await visit.page.get_by_role("button", name="Judge").click()
    await visit.answered()
    assert visit.bodies()[0] == "Subject: \x80\x9f\xe9\n\nx"


async def drop(page: Page, path: Path) -> None:
    """What a browser does when a file is let go over the page, in the middle of nowhere."""
    files = await page.evaluate_handle(
        """([bytes, name]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name));
            return data;
        }""",
        [list(path.read_bytes()), path.name],
    )
    for event in ("dragover", "drop"):
        await page.dispatch_event("h1", event, {"dataTransfer": files})


async def test_mails_over_the_limit_are_refused_before_they_are_sent(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "film.eml"
    path.write_bytes(b"x" * (2**20 + 1))
    await visit.page.get_by_label("Open a file").set_input_files(path)
    alert = visit.page.get_by_role("alert")
    await expect(alert).to_have_text("film.eml has 1,048,577 bytes; at most 1,048,576 can be judged.")
    await visit.page.get_by_label("Mail", exact=True).fill("\u00e9" * (2**19 + 1))
    await visit.page.get_by_role("button", name="Judge").click()
    await expect(alert).to_have_text("The mail has 1,048,578 bytes; at most 1,048,576 can be judged.")
    await visit.page.get_by_label("Mail", exact=True).fill(" ")
    await visit.page.get_by_role("button", name="Judge").click()
    await expect(alert).to_contain_text("There is no mail yet")
    assert visit.asked() == []


async def test_a_key_is_asked_for_when_it_is_missing_and_kept_nowhere(visit: Visit) -> None:
    key = visit.page.get_by_label("API key")
    await expect(key).to_be_hidden()
    problem = {"title": "Unauthorized", "detail": "this gateway asks for an API key"}
    await answer_with(visit.page, {"staging": problem, "production": problem}, status=401)
    await visit.judge("x")
    await expect(visit.card("staging")).to_contain_text("this gateway asks for an API key")
    await key.fill("secret-1")
    await visit.page.unroute("**/api/v1/explain")
    await visit.judge("x")
    assert [request.headers.get("authorization") for request in visit.asked()] == [None, None, *["Bearer secret-1"] * 2]
    kept = await visit.page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert kept == '[{},{},""]'
    await visit.page.reload()
    await expect(key).to_be_hidden()
    assert await key.input_value() == ""


async def test_keys_alone_are_enough(visit: Visit) -> None:
    press = visit.page.keyboard.press
    focused = "document.activeElement.textContent || document.activeElement.id"
    seen = []
    for _ in range(7):
        await press("Tab")
        seen.append(await visit.page.evaluate(focused))
    assert seen == ["a discussion", "a prize", "an offer in HTML", "a short note", "mail", "Judge", "file"]
    outline = await visit.page.evaluate("getComputedStyle(document.activeElement.parentElement).outlineStyle")
    assert outline == "solid", "who sees the page sees where the focus is"
    for _ in range(4):
        await press("Shift+Tab")
    assert await visit.page.evaluate(focused) == "an offer in HTML"
    await press("Enter")
    await press("Tab")
    await press("Tab")
    await press("Control+Enter")
    await visit.answered()
    for _ in range(3):
        await press("Tab")
    assert await visit.page.evaluate(focused) == "Show all 28 numbers"
    await press("Space")
    await expect(visit.page.locator("#features tbody tr")).to_have_count(28)
    assert await visit.page.evaluate(focused) == "Show the most unusual only"


async def test_a_changed_mail_makes_its_verdicts_old(visit: Visit) -> None:
    await visit.judge("Subject: Lunch\n\nSee you at ten.")
    stale = visit.page.get_by_text("The mail has changed since.")
    await expect(stale).to_be_hidden()
    await visit.page.get_by_label("Mail", exact=True).press("x")
    await expect(stale).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("state", ["empty", "answers", "differences", "problems"])
async def test_axe_finds_nothing(visit: Visit, size: ViewportSize, scheme: Any, state: str) -> None:
    if not chromium.AXE.exists():
        pytest.skip("NO AXE, so accessibility is not known: run `make test` with npm")
    await visit.page.set_viewport_size(size)
    await visit.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await bring_to(visit, state)
    await visit.page.evaluate(chromium.AXE.read_text())
    found = await visit.page.evaluate("axe.run({ resultTypes: ['violations'] })")
    faults = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]]
    assert faults == []
    overflow = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
    assert await visit.page.evaluate(overflow) == 0


async def bring_to(visit: Visit, state: str) -> None:
    if state == "problems":
        problem = {"title": "Unauthorized", "detail": "a key, " + "w" * 200}
        await answer_with(visit.page, {"staging": problem, "production": problem}, status=401)
    if state == "differences":
        await answer_with(visit.page, {"staging": answer(0.9, 1), "production": answer(0.2, 2)})
    if state != "empty":
        await visit.judge(MAIL)
    if state == "answers":
        await visit.page.get_by_role("button", name="Show all").click()


async def test_axe_can_find_something(visit: Visit) -> None:
    if not chromium.AXE.exists():
        pytest.skip("NO AXE, so accessibility is not known: run `make test` with npm")
    await visit.page.evaluate("document.querySelector('label[for=mail]').remove()")
    await visit.page.evaluate("document.getElementById('mail').placeholder = ''")
    await visit.page.evaluate(chromium.AXE.read_text())
    found = await visit.page.evaluate("axe.run()")
    assert "label" in [each["id"] for each in found["violations"]]


async def test_an_environment_that_is_down_says_so_and_the_other_answers(browser: Browser, own: System) -> None:
    own.kill("pp")
    page = await browser.new_page(viewport=WIDE)
    visit = Visit(page, own.url)
    await page.goto(own.url)
    await visit.judge(MAIL)
    await expect(visit.card("staging")).to_contain_text("% spam")
    await expect(visit.card("production").locator("strong")).to_have_text("Service Unavailable")
    await expect(visit.card("production")).to_contain_text("production: the predictor cannot be reached")
    await expect(page.get_by_role("status")).to_contain_text("production: Service Unavailable")
    await expect(page.locator("#features thead th")).to_have_text(["Number", "staging"])
    await page.close()


@pytest.fixture
def without_page(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    environments = json.dumps({"staging": f"http://127.0.0.1:{free_port()}"})
    process = start("gateway", {"PORT": str(port), "ENVIRONMENTS": environments, "PAGE": "false"}, tmp_path / "g.log")
    try:
        wait_for(f"http://127.0.0.1:{port}/health", tmp_path)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def test_switched_off_there_is_no_page(without_page: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{without_page}/") as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")


def test_the_examples_name_no_host_that_somebody_has() -> None:
    """Whoever clicks on nothing may still copy an address: RFC 2606 and RFC 5737 keep some for this."""
    script = (ROOT / "services/gateway/src/gateway/page/page.js").read_text()
    hosts = set(re.findall(r"(?:https?://|@)([\w.-]+\w)", script)) - {"www.w3.org"}
    assert hosts
    assert all(re.search(r"(^|\.)example\.(com|org)$|^192\.0\.2\.\d+$", host) for host in hosts), hosts
