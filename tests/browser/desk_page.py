"""The desk as an agent meets it: words for what they see and do, so that tests read like their day."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.browser.house import PASSWORD


@dataclass
class DeskPage:
    """One agent's open desk."""

    page: Page
    email: str

    @classmethod
    async def open(cls, context: BrowserContext, name: str, *, log_in: bool = True) -> DeskPage:
        page = await context.new_page()
        await page.goto("/desk/")
        desk = cls(page, f"{name.split()[0].lower()}@foyer.example")
        if log_in:
            await desk.logs_in()
        return desk

    async def logs_in(self, password: str = PASSWORD) -> None:
        await self.page.get_by_label("E-mail address").fill(self.email)
        await self.page.get_by_label("Password", exact=True).fill(password)
        await self.page.get_by_role("button", name="Log in").click()
        await expect(self.page.get_by_text("Live", exact=True)).to_be_attached()

    async def becomes(self, presence: str) -> None:
        await self.page.get_by_role("button", name="Presence:").click()
        await self.page.get_by_role("menuitemradio", name=presence).click()
        await expect(self.page.get_by_role("button", name=f"Presence: {presence}")).to_be_visible()

    @property
    def queue(self) -> Locator:
        return self.page.get_by_role("region", name="Queue")

    @property
    def mine(self) -> Locator:
        return self.page.get_by_role("region", name="My conversations")

    @property
    def view(self) -> Locator:
        return self.page.get_by_role("region", name="Conversation with")

    @property
    def transcript(self) -> Locator:
        return self.page.get_by_role("log")

    @property
    def panel(self) -> Locator:
        return self.page.get_by_role("complementary", name="What is known")

    @property
    def field(self) -> Locator:
        return self.page.locator("textarea").first

    async def accepts_the_next(self) -> None:
        await self.queue.get_by_role("button", name="Accept").first.click()
        await expect(self.page.get_by_role("textbox", name="Reply to")).to_be_visible()

    async def writes(self, text: str) -> None:
        await self.field.fill(text)
        await self.field.press("Enter")

    async def sees(self, text: str) -> None:
        await expect(self.transcript.get_by_text(text, exact=True)).to_be_visible()

    async def resolves(self) -> None:
        await self.page.keyboard.press("Escape")
        await self.page.keyboard.press("e")
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Resolve").click()
        await expect(dialog).to_have_count(0)

    async def must_fit(self) -> None:
        """Nothing reaches beyond the window's sides."""
        wide = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, f"{wide} pixels too wide"
        found = await self.page.evaluate(OVERHANGING)
        assert found == [], found


# Elements that stick out of the window, except inside of what scrolls sideways or hides it on purpose.
OVERHANGING = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const box = element.getBoundingClientRect();
  if (box.width === 0 || element.closest(".visually-hidden")) return false;
  if (box.right <= innerWidth + 1 && box.left >= -1) return false;
  for (let at = element.parentElement; at && at !== document.body; at = at.parentElement)
    if (getComputedStyle(at).overflowX !== "visible" && at.getBoundingClientRect().right <= innerWidth + 1) return false;
  return true;
}).map((element) => `${element.tagName}.${element.className}`).slice(0, 5)"""


async def violations(page: Page, axe: str) -> list[str]:
    """What axe-core finds on the page as it is now."""
    await page.evaluate(axe)
    found: Any = await page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
        ".map((v) => ({id: v.id, nodes: v.nodes.map((n) => [n.html, n.failureSummary])}))"
    )
    return [json.dumps(one)[:1500] for one in found]
