"""Pictures of the page, wide and narrow, light and dark, beside a running `make run`."""

import argparse
import asyncio
from pathlib import Path

import chromium
from playwright.async_api import Browser, Page

WIDTHS = {"wide": 1280, "narrow": 360}
SCHEMES = ("light", "dark")


async def main(url: str, out: Path, example: str) -> None:
    executable = chromium.find()
    if executable is None:
        raise SystemExit("there is no Chromium: install one, or name it in CHROMIUM")
    async with chromium.launched(executable) as browser:
        for size, width in WIDTHS.items():
            for scheme in SCHEMES:
                name = f"page-{size}.png" if scheme == "light" else f"page-{size}-{scheme}.png"
                await picture(browser, url, width, scheme, example, out / name)
                print(out / name)


async def picture(browser: Browser, url: str, width: int, scheme: str, example: str, path: Path) -> None:
    page = await browser.new_page(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    await judged(page, url, example)
    await page.screenshot(path=path, full_page=True)
    await page.close()


async def judged(page: Page, url: str, example: str) -> None:
    """Open the page and let it judge one of its examples."""
    await page.goto(url)
    await page.get_by_role("button", name=example).click()
    await page.get_by_role("button", name="Judge").click()
    await page.locator("#features tbody tr").first.wait_for()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--out", type=Path, default=Path("build"))
    parser.add_argument("--example", default="a prize", help="the page's example that is judged")
    options = parser.parse_args()
    asyncio.run(main(options.url, options.out, options.example))
