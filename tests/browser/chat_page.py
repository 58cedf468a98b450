"""The chat as a customer meets it: words for what they see and do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.async_api import BrowserContext, Locator, Page, expect


@dataclass
class ChatPage:
    """One tab with the chat in its corner. Locators reach into the widget's open shadow root."""

    page: Page

    @classmethod
    async def visit(cls, context: BrowserContext, path: str = "/demo/", *, start: bool = True) -> ChatPage:
        page = await context.new_page()
        await page.goto(path)
        chat = cls(page)
        await expect(chat.launcher).to_be_visible()
        if start:
            await chat.opens()
        return chat

    @property
    def launcher(self) -> Locator:
        return self.page.locator("foyer-chat .launcher")

    @property
    def panel(self) -> Locator:
        return self.page.locator("foyer-chat .panel")

    @property
    def log(self) -> Locator:
        return self.panel.get_by_role("log")

    @property
    def field(self) -> Locator:
        return self.panel.get_by_role("textbox", name="Write a message")

    @property
    def bubbles(self) -> Locator:
        """What was said, without the greeting and without dots."""
        return self.panel.locator("[class~=row]:not([hidden]) .bubble:not(.dots)")

    async def opens(self) -> None:
        await self.launcher.click()
        await expect(self.field).to_be_focused()

    async def writes(self, text: str) -> None:
        await self.field.fill(text)
        await self.field.press("Enter")

    async def takes(self, choice: str) -> None:
        await self.panel.get_by_role("button", name=choice, exact=True).click()

    async def sees(self, text: str) -> None:
        await expect(self.log.get_by_text(text).last).to_be_visible()

    async def is_sent(self, text: str) -> None:
        """The newest own message is this one, and the server has it."""
        mine = self.panel.locator(".row.me").last
        await expect(mine.locator(".bubble")).to_contain_text(text)
        await expect(mine).to_have_class(WITHOUT_WAITING)

    async def said(self) -> list[str]:
        """Every bubble of the customer's, in order."""
        texts = await self.panel.locator(".row.me .bubble").all_text_contents()
        return [text.removeprefix("You: ") for text in texts]

    async def must_fit(self) -> None:
        """Nothing of the widget reaches beyond its panel or the window, and nothing scrolls sideways."""
        assert await self.page.evaluate(OVERHANGING) == []


WITHOUT_WAITING = re.compile(r"^(?!.*\b(?:sending|failed)\b)")

OVERHANGING = """() => {
  const root = document.querySelector("foyer-chat").shadowRoot;
  const panel = root.querySelector(".panel").getBoundingClientRect();
  const wide = [...root.querySelectorAll(".panel *")].filter((element) => {
    const box = element.getBoundingClientRect();
    if (!box.width || element.closest(".sr")) return false;
    return box.right > Math.min(panel.right, innerWidth) + 1 || box.left < Math.max(panel.left, 0) - 1;
  });
  const scrolls = [...root.querySelectorAll(".log, .panel, .bubble")].filter((one) => one.scrollWidth > one.clientWidth + 1);
  return [...wide, ...scrolls].map((element) => `${element.tagName}.${element.className}`).slice(0, 5);
}"""
