"""The story in the browser, with real Rasa: a customer at the shop in one window, an agent at the desk in another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from tests.browser.chat_page import ChatPage
from tests.browser.desk_page import DeskPage
from tests.story.accounts import an_order_on_its_way
from tests.story.installation import Installation, free_port

LAPTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    """A whole installation, as `up` starts it."""
    started = Installation(tmp_path / "home", free_port())
    await started.start()
    await started.ready()
    yield started
    await started.stop()


async def test_the_story_by_mouse_by_keyboard_and_on_a_phone(
    browser: Browser, installation: Installation
) -> None:
    await _by_mouse_while_the_front_door_dies(browser, installation)
    await _by_keyboard_alone(browser, installation)
    await _on_phones(browser, installation)


async def _windows(
    browser: Browser, installation: Installation, size: dict[str, Any]
) -> tuple[ChatPage, DeskPage, list[BrowserContext]]:
    """Two people, each with a browser of their own; the agent has logged in."""
    contexts = [
        await browser.new_context(base_url=installation.url, locale="en-GB", **size) for _ in range(2)
    ]
    chat = await ChatPage.visit(contexts[0], start=False)
    page = await contexts[1].new_page()
    await page.goto("/desk/")
    agent = installation.demo_agent
    desk = DeskPage(page, agent["email"])
    await desk.logs_in(agent["password"])
    return chat, desk, contexts


async def _by_mouse_while_the_front_door_dies(browser: Browser, installation: Installation) -> None:
    chat, desk, contexts = await _windows(browser, installation, LAPTOP)
    order = an_order_on_its_way(installation.accounts)
    await desk.becomes("Available")
    await chat.opens()
    for line, answer in (
        ("Hi, where is my order?", "order number"),
        (order["number"], "postcode"),
        (order["email"], order["carrier"]),
    ):
        await chat.writes(line)
        await chat.sees(answer)
    await chat.writes("I want to talk to a human please")
    await expect(chat.panel.get_by_role("button", name="Stop waiting")).to_be_visible()

    await desk.accepts_the_next()
    await expect(desk.panel).to_contain_text(order["number"])
    await expect(desk.panel).to_contain_text(order["name"])
    await desk.writes("Hello, this is Ada.")
    await chat.sees("Hello, this is Ada.")

    dead = installation.kill("front door")
    assert dead
    await chat.writes("Are you still there?")
    await _another_front_door(installation, dead)
    await desk.sees("Are you still there?")
    await desk.writes("Yes, I am.")
    await chat.sees("Yes, I am.")
    assert await chat.said() == [
        "Hi, where is my order?",
        order["number"],
        order["email"],
        "I want to talk to a human please",
        "Are you still there?",
    ]

    await desk.resolves()
    await chat.sees("This chat has ended")
    await chat.writes("are you a bot?")
    await chat.sees("assistant")
    await _close(contexts)


async def _by_keyboard_alone(browser: Browser, installation: Installation) -> None:
    chat, desk, contexts = await _windows(browser, installation, LAPTOP)
    await chat.launcher.focus()
    customer, agent = chat.page.keyboard, desk.page.keyboard
    await customer.press("Enter")
    await expect(chat.field).to_be_focused()
    await customer.type("can I speak to a human")
    await customer.press("Enter")
    await expect(desk.queue.get_by_role("listitem")).to_have_count(1)
    await agent.press("j")
    await expect(desk.page.get_by_role("button", name="Decline")).to_be_visible()
    await agent.press("a")
    await expect(desk.field).to_be_focused()
    await agent.type("Hello from the keyboard.")
    await agent.press("Enter")
    await chat.sees("Hello from the keyboard.")
    await customer.type("Thank you!")
    await customer.press("Enter")
    await desk.sees("Thank you!")
    await agent.press("Escape")
    await agent.press("e")
    dialog = desk.page.get_by_role("dialog", name="Resolve this conversation")
    await expect(dialog).to_be_visible()
    await agent.press("ArrowDown")
    await agent.press("Enter")
    await expect(dialog).to_have_count(0)
    await chat.sees("This chat has ended")
    await customer.type("hello again")
    await customer.press("Enter")
    await expect(chat.panel.locator(".row:not(.me) .bubble:not(.dots)").last).to_contain_text("Assistant:")
    await _close(contexts)


async def _on_phones(browser: Browser, installation: Installation) -> None:
    chat, desk, contexts = await _windows(browser, installation, PHONE)
    await chat.launcher.tap()
    await chat.writes("let me talk to a person")
    await chat.must_fit()
    await expect(desk.queue.get_by_role("listitem")).to_have_count(1)
    await desk.queue.get_by_role("button", name="Accept").first.tap()
    await expect(desk.field).to_be_visible()
    await desk.field.fill("Hello from my phone")
    await desk.page.get_by_role("button", name="Send").tap()
    await chat.sees("Hello from my phone")
    await desk.must_fit()
    await chat.must_fit()
    await _close(contexts)


async def _another_front_door(installation: Installation, dead: int) -> None:
    async with asyncio.timeout(60):
        while installation.pid("front door") in (None, dead) or not await installation.alive():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def _close(contexts: list[BrowserContext]) -> None:
    for context in contexts:
        await context.close()
