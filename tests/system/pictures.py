"""Draws the pictures of the pages: the page, the model's curves, a drift report, and the plots of evidence."""

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import chromium
from conftest import ROOT, System, system
from playwright.async_api import Browser
from screenshots import judged

from corpus import find_mails, read_mail

VIEWPORT = {"width": 1100, "height": 780}
MARGIN = 24
"""Pixels shown below the verdicts."""
LARGEST_BYTES = 200_000
MAILS = 2_000
SPAM_SHARE = 0.5
"""Share of spam in the mail that is sent; the baseline has 31 %, so that the drift report has something to show."""
BATCH_MAILS = 50
PLOT = "roc.png"
"""Plot of evidence that a page shows.

The plots of shadowed mail need mail that neither model was trained on, and here is none: all scores are near 0 or 1.
"""


@dataclass(frozen=True, slots=True)
class Sources:
    """Models, mail and baseline that the pictures are drawn from."""

    model: Path
    candidate: Path
    """Bundle of a weaker model."""
    corpus: Path
    baseline: Path


async def main(sources: Sources, out: Path) -> None:
    executable = chromium.find()
    if executable is None:
        raise SystemExit("there is no Chromium: install one, or name it in CHROMIUM")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sources.model / "curves.png", out / "curves.png")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log"
        async with chromium.launched(executable) as browser:
            await run_system(browser, sources, folder, log, out / "page.png")
            await shoot_report(browser, drift_report(log, sources.baseline), out / "drift.png")
        evidence(sources, log, folder / "evidence", out)
    for path in sorted(out.glob("*.png")):
        print(path, path.stat().st_size, "bytes")
        if path.stat().st_size > LARGEST_BYTES:
            raise SystemExit(f"{path} has more than {LARGEST_BYTES} bytes: show less in it")


async def run_system(browser: Browser, sources: Sources, folder: Path, log: Path, picture: Path) -> None:
    """Run the candidate beside the model, take the page's picture, and log mail."""
    transformer = {"INFERENCE_LOG_URI": log.as_uri(), "INFERENCE_LOG_FLUSH_SECONDS": "0.5"}
    with system(folder, sources.model, staging_model=sources.candidate, **transformer) as running:
        await shoot_page(browser, running, picture)
        await send(running, sources.corpus)
        # The transformer writes its last rows before it ends.
        running.terminate("tp")
        running.processes["tp"].wait()


async def shoot_page(browser: Browser, running: System, path: Path) -> None:
    """Take the page, down to the verdicts on a mail."""
    page = await browser.new_page(viewport=VIEWPORT, color_scheme="light", reduced_motion="reduce")
    await judged(page, running.url, "a prize")
    cards = await page.locator("#cards").bounding_box()
    assert cards
    height = cards["y"] + cards["height"] + MARGIN
    await page.screenshot(
        path=path, full_page=True, clip={"x": 0, "y": 0, "width": VIEWPORT["width"], "height": height}
    )
    await page.close()


async def shoot_report(browser: Browser, report: Path, path: Path) -> None:
    """Take the beginning of a drift report."""
    page = await browser.new_page(viewport=VIEWPORT, color_scheme="light")
    await page.goto(report.as_uri())
    await page.screenshot(path=path)
    await page.close()


async def send(running: System, corpus: Path) -> None:
    """Send mail to production, in batches."""
    draw = random.Random(0)
    found = find_mails(corpus, 1)
    kinds = {spam: [mail for mail in found if mail.spam is spam] for spam in (True, False)}
    mails = [read_mail(draw.choice(kinds[draw.random() < SPAM_SHARE])).decode("latin-1") for _ in range(MAILS)]
    async with aiohttp.ClientSession(headers={"X-Environment": "production"}) as session:
        for start in range(0, MAILS, BATCH_MAILS):
            body = {"emails": mails[start : start + BATCH_MAILS]}
            async with session.post(f"{running.url}/api/v1/batch-predict", json=body) as response:
                response.raise_for_status()


def drift_report(log: Path, baseline: Path) -> Path:
    """Compare production's mail with the baseline, and return the report for a browser."""
    command = [ROOT / "services" / "drift" / ".venv" / "bin" / "drift-detector", "--inference-log-uri", log.as_uri()]
    options = ["--environment", "production", "--last", "60m", "--baseline-uri", baseline]
    done = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE, text=True)
    return Path(json.loads(done.stdout.splitlines()[-1])["report"].removeprefix("file://"))


def evidence(sources: Sources, log: Path, folder: Path, out: Path) -> None:
    """Compare candidate and model, and keep the plot that a page shows; without a Prometheus it is refused."""
    bundles = [f"CANDIDATE_BUNDLE={sources.candidate}", f"PRODUCTION_BUNDLE={sources.model}"]
    places = [f"INFERENCE_LOG_URI={log.as_uri()}", f"EVIDENCE={folder}", "PROMETHEUS_URL="]
    done = subprocess.run(["make", "--silent", "evidence", *bundles, *places], cwd=ROOT)
    if not (folder / PLOT).exists():
        raise SystemExit(f"make evidence ended with {done.returncode} and drew no {PLOT}")
    shutil.copyfile(folder / PLOT, out / f"evidence-{PLOT}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--model", "--candidate", "--corpus", "--baseline", "--out"):
        parser.add_argument(option, type=Path, required=True)
    given = parser.parse_args()
    (weaker,) = given.candidate.resolve().glob("**/model.json")
    found = Sources(given.model.resolve(), weaker.parent, given.corpus.resolve(), given.baseline.resolve())
    asyncio.run(main(found, given.out.resolve()))
