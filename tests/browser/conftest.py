"""A real browser in front of a real front door. Without chromium the run ends with its name: nothing is skipped."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)

from frontdoor.frontend import DESK, FrontendError, build_if_changed
from tests.browser.house import House

# A busy machine may take its time; nothing here measures it.
expect.set_options(timeout=20_000)

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where chromium is."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.exit(
            "missing: chromium, which the browser tests need (Debian: apt-get install chromium)", returncode=2
        )
    return found


@pytest.fixture(scope="session")
def pages() -> None:
    """The pages of the sources as they are now."""
    try:
        build_if_changed(print)
    except FrontendError as error:
        pytest.exit(f"missing: the desk's pages: {error}", returncode=2)


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source, to be run in a page."""
    return (DESK / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
async def browser(chromium: str, pages: None) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield opened
        await opened.close()


@pytest.fixture
async def house(sqlite_url: str, tmp_path: Path) -> AsyncIterator[House]:
    opened = House(sqlite_url, tmp_path)
    await opened.start()
    yield opened
    await opened.stop()


@dataclass
class Watch:
    """What a context's pages complained about, and whom they asked."""

    own: str
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    forgiven: tuple[str, ...] = ()

    def follow(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._request)

    def forgive(self, *parts: str) -> None:
        """Complaints that hold one of these words are what the test provokes."""
        self.forgiven = (*self.forgiven, *parts)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.own, "data:", "blob:")):
            self.foreign.append(request.url)

    def check(self) -> None:
        # A 401 before log-in is how the desk learns that nobody is logged in.
        forgiven = (*self.forgiven, "401 (Unauthorized)")
        left = [text for text in self.complaints if not any(part in text for part in forgiven)]
        assert left == [], left
        assert self.foreign == [], self.foreign


OpenContext = Callable[..., Awaitable[tuple[BrowserContext, Watch]]]


@pytest.fixture
async def open_context(browser: Browser, house: House) -> AsyncIterator[OpenContext]:
    """Opens a browser context (a person with a browser of their own) that is watched to its end."""
    opened: list[tuple[BrowserContext, Watch]] = []

    async def new(**options: Any) -> tuple[BrowserContext, Watch]:
        settings: dict[str, Any] = {
            "viewport": {"width": 1440, "height": 900},
            "reduced_motion": "reduce",
        } | options
        context = await browser.new_context(base_url=house.url, locale="en-GB", **settings)
        context.set_default_timeout(15_000)
        watch = Watch(house.url)
        context.on("page", watch.follow)
        opened.append((context, watch))
        return context, watch

    yield new
    for context, watch in opened:
        await context.close()
        watch.check()
