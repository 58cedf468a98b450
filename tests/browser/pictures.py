"""Takes pictures of the desk in every state, size and colour: `python -m tests.browser.pictures FOLDER [STATE...]`."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from conversations.store import migrate
from frontdoor.frontend import build_if_changed
from tests.browser.conftest import ARGUMENTS
from tests.browser.house import House
from tests.browser.scenes import SCENES, SIZES, THEMES


async def take(folder: Path, names: list[str]) -> None:
    """One picture a state, size and colour."""
    async with async_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        for name, scene in SCENES.items():
            if names and name not in names:
                continue
            with tempfile.TemporaryDirectory() as home:
                url = f"sqlite:///{home}/foyer.db"
                await migrate(url)
                house = House(url, Path(home))
                await house.start()
                context = await browser.new_context(
                    base_url=house.url, locale="en-GB", reduced_motion="reduce", viewport=SIZES["1440"]
                )
                page = await scene(house, context)
                for size, viewport in SIZES.items():
                    await page.set_viewport_size(viewport)
                    for theme in THEMES:
                        await page.emulate_media(color_scheme=theme)
                        await page.wait_for_timeout(150)
                        await page.screenshot(path=folder / f"{name}-{size}-{theme}.png")
                await context.close()
                await house.stop()
        await browser.close()


def main() -> None:
    build_if_changed(print)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(folder, sys.argv[2:]))


if __name__ == "__main__":
    main()
