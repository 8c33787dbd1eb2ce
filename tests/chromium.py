"""A real Chromium: the machine's own, else the one that `make test` unpacks into .tools."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright

NPM = Path(__file__).resolve().parent.parent / ".tools" / "browser"
UNPACKED = NPM / "unpacked"
AXE = NPM / "node_modules" / "axe-core" / "axe.min.js"
# As its package starts it: without a process to start others from, and drawing by software in the browser's own.
UNPACKED_ARGUMENTS = ["--no-zygote", "--in-process-gpu", "--use-gl=angle", "--use-angle=swiftshader"]
UNPACKED_ARGUMENTS += ["--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> Path | None:
    """The browser of `CHROMIUM`, of the PATH, or of .tools; None where there is none."""
    if named := os.environ.get("CHROMIUM"):
        return Path(named)
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    unpacked = UNPACKED / "chromium"
    return unpacked if unpacked.exists() else None


@asynccontextmanager
async def launched(executable: Path) -> AsyncIterator[Browser]:
    environ: dict[str, str | float | bool] = {**os.environ}
    if executable.is_relative_to(UNPACKED):
        # What a machine without a browser lacks besides.
        environ |= {"LD_LIBRARY_PATH": str(UNPACKED / "al2023" / "lib"), "FONTCONFIG_PATH": str(UNPACKED / "fonts")}
    arguments = UNPACKED_ARGUMENTS if executable.is_relative_to(UNPACKED) else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, env=environ, args=arguments)
        yield browser
        await browser.close()
