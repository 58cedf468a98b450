"""The states of the desk that are looked at: by axe, by the tests of the layout, and in pictures by people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from playwright.async_api import BrowserContext, Page, ViewportSize, expect

from tests.browser.desk_page import DeskPage
from tests.browser.house import House

Scene = Callable[[House, BrowserContext], Awaitable[Page]]

SIZES: dict[str, ViewportSize] = {
    "1440": {"width": 1440, "height": 900},
    "1024": {"width": 1024, "height": 768},
    "390": {"width": 390, "height": 844},
}
THEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


async def log_in(house: House, context: BrowserContext) -> Page:
    desk = await DeskPage.open(context, "Ada", log_in=False)
    await expect(desk.page.get_by_role("button", name="Log in")).to_be_visible()
    return desk.page


async def log_in_refused(house: House, context: BrowserContext) -> Page:
    await house.hire("Ada Byron")
    desk = await DeskPage.open(context, "Ada", log_in=False)
    await desk.page.get_by_label("E-mail address").fill(desk.email)
    await desk.page.get_by_label("Password", exact=True).fill("a guess")
    await desk.page.get_by_role("button", name="Log in").click()
    await expect(desk.page.get_by_text("is wrong")).to_be_visible()
    return desk.page


async def quiet(house: House, context: BrowserContext) -> Page:
    await house.hire("Ada Byron")
    desk = await DeskPage.open(context, "Ada")
    await desk.becomes("Available")
    return desk.page


async def queue(house: House, context: BrowserContext) -> Page:
    """Four wait, and the agent is away."""
    await house.hire("Ada Byron", "agent", "supervisor")
    await house.customer("mara").says(
        "Where is my order?", "It is FY-104233, LS1 4DY", "I want to talk to a human"
    )
    await house.customer("b").says("asdf ghjk", "I need a person please")
    await house.customer("c").says("My lawyer will hear of this")
    await house.customer("d").says("human")
    desk = await DeskPage.open(context, "Ada")
    await expect(desk.queue.get_by_role("listitem")).to_have_count(4)
    return desk.page


async def waiting(house: House, context: BrowserContext) -> Page:
    """One who waits is read before accepting."""
    page = await queue(house, context)
    await page.get_by_role("button", name="Mara").first.click()
    await expect(page.get_by_role("button", name="Decline")).to_be_visible()
    await expect(page.get_by_text("Why you")).to_be_attached()
    return page


async def conversation(house: House, context: BrowserContext) -> Page:
    """In the middle of one, with a note, others open, and somebody typing."""
    page = await queue(house, context)
    desk = DeskPage(page, "ada@foyer.example")
    mara = house.customer("mara")
    await desk.becomes("Available")
    await desk.accepts_the_next()
    await mara.writes("Hello? It said Tuesday, but I will not be at home.")
    await desk.sees("Hello? It said Tuesday, but I will not be at home.")
    await desk.writes(
        "Hello Mara, this is Ada. Shall it go to your neighbour, or to a parcel shop close to you?"
    )
    await desk.sees(
        "Hello Mara, this is Ada. Shall it go to your neighbour, or to a parcel shop close to you?"
    )
    await page.get_by_role("radio", name="Note").check(force=True)
    await desk.writes("Northline can redirect until Monday noon.")
    await expect(page.get_by_role("log").get_by_text("Northline can redirect")).to_be_visible()
    await mara.writes("The parcel shop, please. Which one is it?")
    await desk.sees("The parcel shop, please. Which one is it?")
    await desk.field.fill("It is the kiosk at")
    await page.get_by_role("button", name="Accept").first.click()
    await expect(page.get_by_role("region", name="My conversations").get_by_role("listitem")).to_have_count(2)
    await page.get_by_role("button", name="Mara").first.click()
    await desk.sees("The parcel shop, please. Which one is it?")
    await mara.types()
    await expect(page.get_by_text("Order status", exact=True).first).to_be_attached()
    return page


async def known_on_a_phone(house: House, context: BrowserContext) -> Page:
    """What is known, where it has no column of its own."""
    page = await conversation(house, context)
    await page.set_viewport_size(SIZES["390"])
    await page.get_by_role("button", name="What is known").click()
    await expect(page.get_by_role("complementary")).to_be_visible()
    return page


async def resolving(house: House, context: BrowserContext) -> Page:
    page = await conversation(house, context)
    await page.keyboard.press("Escape")
    await page.keyboard.press("e")
    await expect(page.get_by_role("dialog")).to_be_visible()
    return page


async def keys(house: House, context: BrowserContext) -> Page:
    page = await quiet(house, context)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    return page


async def session_ended(house: House, context: BrowserContext) -> Page:
    page = await conversation(house, context)
    await context.clear_cookies()
    await DeskPage(page, "").field.press("Enter")
    await expect(page.get_by_role("heading", name="Log in again")).to_be_visible()
    return page


async def offline(house: House, context: BrowserContext) -> Page:
    page = await conversation(house, context)
    await house.stop()
    await DeskPage(page, "").field.press("Enter")
    await expect(page.get_by_text("Offline for")).to_be_attached()
    return page


async def hostile(house: House, context: BrowserContext) -> Page:
    """Markup, scripts, right-to-left text, words without an end, names of 200 characters."""
    await house.hire("Ada Byron")
    await house.customer("x").says(*HOSTILE, "human")
    desk = await DeskPage.open(context, "Ada")
    await desk.accepts_the_next()
    return desk.page


HOSTILE = (
    "<script>window.stolen = 1</script><img src=x onerror='window.stolen = 2'>",
    "x" * 4096,
    "مرحبا، أين طلبي FY-104233؟ \u202eabc",
    "line one\nline two\n\n    indented\ttabbed",
    "👩‍👩‍👧‍👦" * 300,
)

SCENES: dict[str, Scene] = {
    "log-in": log_in,
    "log-in-refused": log_in_refused,
    "quiet": quiet,
    "queue": queue,
    "waiting": waiting,
    "conversation": conversation,
    "known": known_on_a_phone,
    "resolving": resolving,
    "keys": keys,
    "session-ended": session_ended,
    "offline": offline,
    "hostile": hostile,
}
