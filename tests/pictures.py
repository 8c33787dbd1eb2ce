"""Draws the pictures of the pages: the page, the curves of the model, and a drift report."""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import chromium
from conftest import ROOT, System, system
from playwright.async_api import Browser
from screenshots import judged

VIEWPORT = {"width": 1100, "height": 780}
LARGEST_BYTES = 200_000
SPAM = "0.5"
"""Share of spam in the mail of the drift report; the baseline has 31 %, so there is something to see."""


async def main(model: Path, corpus: Path, baseline: Path, out: Path) -> None:
    executable = chromium.find()
    if executable is None:
        raise SystemExit("there is no Chromium: install one, or name it in CHROMIUM")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model / "curves.png", out / "curves.png")
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "log"
        settings = {"INFERENCE_LOG_URI": log.as_uri(), "INFERENCE_LOG_FLUSH_SECONDS": "0.5"}
        async with chromium.launched(executable) as browser:
            with system(Path(name), model, **settings) as running:
                await page_picture(browser, running, out / "page.png")
                simulate(running, corpus)
            # The transformers have written their last rows before they ended.
            await report_picture(browser, drift_report(log, baseline), out / "drift.png")
    for path in sorted(out.glob("*.png")):
        print(path, path.stat().st_size, "bytes")
        if path.stat().st_size > LARGEST_BYTES:
            raise SystemExit(f"{path} has over {LARGEST_BYTES} bytes: show less of it")


async def page_picture(browser: Browser, running: System, path: Path) -> None:
    """The page once it has judged a mail."""
    page = await browser.new_page(viewport=VIEWPORT, color_scheme="light", reduced_motion="reduce")
    await judged(page, running.url, "a prize")
    await page.screenshot(path=path, full_page=False)
    await page.close()


async def report_picture(browser: Browser, report: Path, path: Path) -> None:
    """The beginning of a drift report."""
    page = await browser.new_page(viewport=VIEWPORT, color_scheme="light")
    await page.goto(report.as_uri())
    await page.screenshot(path=path, full_page=False)
    await page.close()


def simulate(running: System, corpus: Path) -> None:
    command = [ROOT / "services" / "local" / ".venv" / "bin" / "simulate", "--url", running.url, "--corpus", corpus]
    options = ["--environment", "production", "--spam", SPAM, "--rate", "200", "--mails", "1000"]
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
    for name in ("ts", "tp"):
        running.terminate(name)
        running.processes[name].wait()


def drift_report(log: Path, baseline: Path) -> Path:
    """Compare what was logged with the baseline, and return the report for a browser."""
    command = [ROOT / "services" / "drift" / ".venv" / "bin" / "drift-detector", "--inference-log-uri", log.as_uri()]
    options = ["--environment", "production", "--last", "60m", "--baseline-uri", baseline]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True, env={**os.environ})
    found = json.loads(done.stdout.splitlines()[-1])
    return Path(found["report"].removeprefix("file://"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--model", "--corpus", "--baseline", "--out"):
        parser.add_argument(option, type=Path, required=True)
    options = parser.parse_args()
    asyncio.run(main(options.model.resolve(), options.corpus.resolve(), options.baseline.resolve(), options.out))
