"""Tests of the gateway's page in a real browser, before real environments."""

import gzip
import hashlib
import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import chromium
import pytest
from conftest import ROOT, System, free_port, start, wait_for
from playwright.async_api import Browser, JSHandle, Page, Request, Route, ViewportSize, expect

MAIL = (
    "Subject: WIN $1,000,000 now!!!\r\n\r\n"
    "CLICK http://192.0.2.7/claim for FREE money!!!\r\n<b>caf\u00e9</b> <script>window.hacked = 1</script>\r\n"
)
EVIL = "<img src=x onerror='window.hacked = 1'>"
ENVIRONMENTS = ["staging", "production"]
WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 320, "height": 640}


class Visit:
    """Open page, its requests and its complaints."""

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
    """Yield the page, and check after any test: nothing is loaded from elsewhere, breaks the policy, or fails."""
    context = await browser.new_context(viewport=WIDE)
    found = Visit(await context.new_page(), shared.url)
    await found.page.goto(shared.url)
    yield found
    elsewhere = [request.url for request in found.requests if not request.url.startswith(f"{shared.url}/")]
    hacked = await found.page.evaluate("window.hacked")
    await context.close()
    assert elsewhere == []
    # Chromium itself writes a line for an answer that is an error.
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
        await expect(card.locator(".bar text")).to_have_text(f"threshold {100 * answer['threshold']:.1f} %")
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
    await visit.page.get_by_role("button", name="Show all 38 numbers").click()
    await expect(rows).to_have_count(38)
    await expect(rows.last).to_contain_text("usual")
    await expect(rows.locator("svg.strip")).to_have_count(38)
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
    """Let the page receive answers that real environments do not give."""

    async def fulfil(route: Route) -> None:
        answer = answers[route.request.headers["x-environment"]]
        await route.fulfill(status=status, json=answer, headers={"x-request-id": EVIL, "x-model-sha256": EVIL})

    await page.route("**/api/v1/explain", fulfil)


def answer(p: float = 0.5, value: float = 1, words: str = "m", threshold: float | None = 0.5) -> dict[str, Any]:
    feature = {"name": words, "description": words, "value": value, "baseline": None}
    prediction = "spam" if p >= (threshold or 0.5) else "ham"
    verdict = {"prediction": prediction, "spam_probability": p, "threshold": threshold}
    return {**verdict, "model_version": words, "features": [feature]}


@pytest.mark.parametrize(
    ("p", "threshold", "reason"),
    [
        (0.884, 0.948, "Ham: 88.4 % is below the threshold of 94.8 %."),
        (0.96, 0.948, "Spam: 96.0 % is at or above the threshold of 94.8 %."),
        (0.948, 0.948, "Spam: 94.8 % is at or above the threshold of 94.8 %."),
        (0.94796, 0.948, "Ham: 94.796 % is below the threshold of 94.800 %."),
        (0.9999, 0.9995, "Spam: 99.99 % is at or above the threshold of 99.95 %."),
        (0.3, 0.1, "Spam: 30.0 % is at or above the threshold of 10.0 %."),
        (0.9999, 1, "Ham: over 99.9 % is below the threshold of 100.0 %."),
        (0.884, None, "Spam: the answer does not say from which probability a mail is spam."),
    ],
)
async def test_a_verdict_says_which_threshold_it_comes_from(
    visit: Visit, p: float, threshold: float | None, reason: str
) -> None:
    found = answer(p, threshold=threshold)
    await answer_with(visit.page, {"staging": found, "production": found})
    await visit.judge("x")
    card = visit.card("staging")
    await expect(card.locator(".reason")).to_have_text(reason)
    await expect(card.locator(".bar .threshold")).to_have_count(0 if threshold is None else 1)
    status = visit.page.get_by_role("status")
    await expect(status).to_contain_text("88.4 %" if threshold is None else reason.partition(": ")[2])


async def test_a_verdict_that_does_not_fit_its_threshold_is_not_explained_away(visit: Visit) -> None:
    found = {**answer(0.9, threshold=0.5), "prediction": "ham"}
    await answer_with(visit.page, {"staging": found, "production": found})
    await visit.judge("x")
    await expect(visit.card("staging").locator(".reason")).to_have_text(
        "Ham: the verdict does not fit the threshold of 50.0 %."
    )


async def test_an_answer_of_before_has_no_threshold(visit: Visit) -> None:
    found = answer(0.9)
    del found["threshold"]
    await answer_with(visit.page, {"staging": found, "production": found})
    await visit.judge("x")
    await expect(visit.card("staging").locator(".reason")).to_contain_text("the answer does not say")


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


async def transfer(page: Page, *paths: Path) -> JSHandle:
    """Return the object that a browser passes on with files."""
    return await page.evaluate_handle(
        """(files) => {
            const data = new DataTransfer();
            for (const [text, name] of files) {
                data.items.add(new File([Uint8Array.from(text, (character) => character.charCodeAt(0))], name));
            }
            return data;
        }""",
        [[path.read_bytes().decode("latin-1"), path.name] for path in paths],
    )


async def drop(page: Page, *paths: Path) -> None:
    """Drop files over the middle of the page, as a browser would."""
    files = await transfer(page, *paths)
    for event in ("dragover", "drop"):
        await page.dispatch_event("h1", event, {"dataTransfer": files})


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 8
NO_MAILS = {
    "logo.png": (PNG, "logo.png is a PNG image, not a mail. Save the mail as .eml or text, and open that."),
    "mail.eml": (PNG, "mail.eml is a PNG image, not a mail."),
    "photo.jpg": (b"\xff\xd8\xff\xe0" + bytes(99), "photo.jpg is a JPEG image, not a mail."),
    "bill.pdf": (b"%PDF-1.7\n%\xe2\xe3\n" + b"text " * 99, "bill.pdf is a PDF document, not a mail."),
    "mail.msg": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99),
        "mail.msg is an Outlook message (.msg), which cannot be read here.",
    ),
    "mails.zip": (b"PK\x03\x04" + bytes(99), "mails.zip is a ZIP archive. Unpack it and open a mail of it."),
    "letter.docx": (b"PK\x03\x04" + bytes(99), "letter.docx is an Office document, not a mail."),
    "mail.eml.gz": (gzip.compress(MAIL.encode()), "mail.eml.gz is compressed by gzip."),
    "winmail.dat": (b"\x78\x9f\x3e\x22" + bytes(99), "winmail.dat is an attachment of Outlook's"),
    "film.mp4": (b"\0\0\0\x18ftypmp42" + bytes(99), "film.mp4 is a film or a picture, not a mail."),
    "data.bin": (bytes(range(256)) * 4, "data.bin is not text, so it is no mail."),
    "icon.bmp": (b"BM" + bytes(50) + b"\xff" * 9000, "icon.bmp is not text, so it is no mail."),
    "random": (random.Random(1).randbytes(3000), "random is not text, so it is no mail."),
    "text.bin": (b"A page of text. " * 40 + bytes(4000), "text.bin is not text, so it is no mail."),
    "none.eml": (b"", "none.eml is empty."),
}


@pytest.mark.parametrize("name", NO_MAILS)
async def test_what_is_no_mail_is_named_and_not_judged(visit: Visit, tmp_path: Path, name: str) -> None:
    content, said = NO_MAILS[name]
    path = tmp_path / name
    path.write_bytes(content)
    await drop(visit.page, path)
    await expect(visit.page.get_by_role("alert")).to_contain_text(said)
    await expect(visit.page.get_by_label("Mail", exact=True)).to_have_value("")
    assert visit.asked() == []


ODD_TEXTS = {
    "page.html": (b"<!DOCTYPE html>\n<p>Hi", "It is a web page, not a mail: its source is judged as plain text."),
    "logo.svg": (b"<svg xmlns='x'></svg>", "It is XML or HTML, not a mail: its source is judged as plain text."),
    "mail.json": (b'{"email_content": "x"}', "It looks like data (JSON), not a mail: it is judged as plain text."),
    "date.ics": (
        b"BEGIN:VCALENDAR\r\n",
        "It is a calendar entry or a contact, not a mail: it is judged as plain text.",
    ),
    "patch.txt": (b"[PATCH] See you at ten.", "It has no headers of a mail: it is judged as plain text."),
    "note.txt": (b"See you at ten.", "It has no headers of a mail: it is judged as plain text."),
}


@pytest.mark.parametrize("name", ODD_TEXTS)
async def test_a_text_that_is_no_mail_is_judged_and_said_to_be_text(visit: Visit, tmp_path: Path, name: str) -> None:
    content, said = ODD_TEXTS[name]
    path = tmp_path / name
    path.write_bytes(content)
    await drop(visit.page, path)
    await expect(visit.page.locator("#opened")).to_have_text(f"{name} is opened. {said}")
    await visit.page.get_by_role("button", name="Judge").click()
    await visit.answered()
    assert visit.bodies()[0] == content.decode()


@pytest.mark.parametrize(
    ("name", "content", "judged"),
    [
        ("mail.emlx", b"13      \nSubject: a\n\nb<?xml version='1.0'?>", "Subject: a\n\nb"),
        ("utf-16.txt", "\ufeffSubject: caf\u00e9\n\nb".encode("utf-16-le"), "Subject: caf\u00e9\n\nb"),
        ("iso-2022-jp.eml", b"Subject: a\n\n\x1b$B$3$s\x1b(B\n" * 20, "Subject: a\n\n\x1b$B$3$s\x1b(B\n" * 20),
        ("koi8.eml", b"Subject: a\n\n" + bytes(range(0xC0, 0x100)) * 9, None),
        ("one.mbox", b"From a@b Mon Jan  1 00:00:00 2024\nSubject: a\n\nb\n\nFrom 2002 on, it was so.\n", None),
    ],
)
async def test_files_of_mail_programs_are_read(
    visit: Visit, tmp_path: Path, name: str, content: bytes, judged: str | None
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    await drop(visit.page, path)
    await expect(visit.page.locator("#opened")).to_have_text(f"{name} is opened.")
    await visit.page.get_by_role("button", name="Judge").click()
    await visit.answered()
    assert visit.bodies()[0] == (content.decode("latin-1") if judged is None else judged)


def mailbox(mails: int, end: str = "\n", filler: int = 0) -> str:
    """Return a mailbox in the format mbox, as a mail program writes it."""
    return "".join(
        f"From a@example.org Mon Jan  1 00:00:{n:02} 2024\nFrom: a{n}@example.org\nSubject: <b>mail {n}</b>\n\n"
        f"Body {n}.{'x' * filler}\n\n".replace("\n", end)
        for n in range(mails)
    )


@pytest.mark.parametrize(("end", "filler"), [("\n", 0), ("\r\n", 0), ("\n", 60_000)])
async def test_of_a_mailbox_a_mail_is_chosen(visit: Visit, tmp_path: Path, end: str, filler: int) -> None:
    path = tmp_path / "inbox.mbox"
    text = mailbox(20, end, filler)
    path.write_bytes(text.encode())
    await drop(visit.page, path)
    await expect(visit.page.locator("#choice-title")).to_have_text(
        "inbox.mbox holds 20 mails, and one is judged at a time. Choose one:"
    )
    await expect(visit.page.locator("#choice-title")).to_be_focused()
    choices = visit.page.locator("#choices button")
    await expect(choices).to_have_count(20)
    assert await choices.nth(7).inner_text() == "<b>mail 7</b> a7@example.org"
    await visit.page.keyboard.press("Tab")
    await visit.page.keyboard.press("Tab")
    await visit.page.keyboard.press("Enter")
    await expect(visit.page.locator("#opened")).to_have_text("Mail 2 of 20 of inbox.mbox is opened.")
    await expect(choices.nth(1)).to_have_attribute("aria-current", "true")
    await visit.page.get_by_role("button", name="Judge", exact=True).click()
    await visit.answered()
    start = len(mailbox(1, end, filler))
    assert visit.bodies()[0] == text[start : 2 * start]


async def test_a_pasted_mailbox_is_recognised_before_it_is_sent(visit: Visit) -> None:
    await visit.page.get_by_label("Mail", exact=True).fill(mailbox(20))
    await visit.page.get_by_role("button", name="Judge").click()
    await expect(visit.page.locator("#choice-title")).to_contain_text("This text holds 20 mails")
    assert visit.asked() == []


async def test_of_a_large_mailbox_the_first_mails_are_shown(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "inbox.mbox"
    path.write_text(mailbox(60) * 10)
    await visit.page.get_by_label("Open a file").set_input_files(path)
    await expect(visit.page.locator("#choice-title")).to_contain_text("holds 600 mails")
    await expect(visit.page.locator("#choices li")).to_have_count(201)
    await expect(visit.page.locator("#choices li").last).to_have_text("and 400 more")


@pytest.mark.parametrize("way", ["dropped", "chosen"])
async def test_of_several_files_one_is_chosen(visit: Visit, tmp_path: Path, way: str) -> None:
    paths = [tmp_path / f"{name}.eml" for name in "abc"]
    for path in paths:
        path.write_text(f"Subject: {path.stem}\n\nSee you.")
    paths[2].write_bytes(PNG)
    if way == "dropped":
        await drop(visit.page, *paths)
    else:
        await visit.page.get_by_label("Open a file").set_input_files(paths)
    title = visit.page.locator("#choice-title")
    await expect(title).to_have_text("3 files, and one mail is judged at a time. Choose one:")
    await visit.page.get_by_role("button", name="c.eml").click()
    await expect(visit.page.get_by_role("alert")).to_contain_text("c.eml is a PNG image")
    await visit.page.get_by_role("button", name="b.eml").click()
    await expect(visit.page.get_by_label("Mail", exact=True)).to_have_value("Subject: b\n\nSee you.")
    await expect(visit.page.get_by_role("alert")).to_have_text("")
    await visit.page.get_by_role("button", name="a discussion").click()
    await expect(title).to_be_hidden()


async def test_a_folder_is_named(visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "Maildir"
    folder.mkdir()
    (folder / "1.eml").write_text("Subject: a\n\nb")
    session = await visit.page.context.new_cdp_session(visit.page)
    files = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        await session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 200, "data": files})
    await expect(visit.page.get_by_role("alert")).to_have_text("Maildir is a folder. Open one mail of it.")


async def test_a_pasted_file_is_opened(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "logo.png"
    path.write_bytes(PNG)
    await visit.page.evaluate(
        """(data) => document.getElementById("mail").dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }))""",
        await transfer(visit.page, path),
    )
    await expect(visit.page.get_by_role("alert")).to_contain_text("logo.png is a PNG image")


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
    assert await visit.page.evaluate(focused) == "Show all 38 numbers"
    await press("Space")
    await expect(visit.page.locator("#features tbody tr")).to_have_count(38)
    assert await visit.page.evaluate(focused) == "Show the most unusual only"


async def test_a_changed_mail_makes_its_verdicts_old(visit: Visit) -> None:
    await visit.judge("Subject: Lunch\n\nSee you at ten.")
    stale = visit.page.get_by_text("The mail has changed since.")
    await expect(stale).to_be_hidden()
    await visit.page.get_by_label("Mail", exact=True).press("x")
    await expect(stale).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("state", ["empty", "answers", "differences", "problems", "choice", "refused"])
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
    if state == "choice":
        await visit.page.get_by_label("Mail", exact=True).fill(mailbox(20))
        await visit.page.get_by_role("button", name="Judge").click()
        await visit.page.get_by_role("button", name="mail 7").click()
    elif state == "refused":
        name = "a-name-" + "long-" * 30 + ".png"
        await visit.page.get_by_label("Open a file").set_input_files(
            {"name": name, "mimeType": "image/png", "buffer": PNG}
        )
        await expect(visit.page.get_by_role("alert")).to_contain_text("PNG")
    elif state != "empty":
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
    """A reader may copy an address even without clicking: RFC 2606 and RFC 5737 reserve some for examples."""
    script = (ROOT / "services/gateway/src/gateway/page/page.js").read_text()
    hosts = set(re.findall(r"(?:https?://|@)([\w.-]+\w)", script)) - {"www.w3.org"}
    assert hosts
    assert all(re.search(r"(^|\.)example\.(com|org)$|^192\.0\.2\.\d+$", host) for host in hosts), hosts
