"""The chat widget in a real browser: the customer's side of the story, and everything that happens to networks, tabs
and pages around it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect
from pydantic import SecretStr

from conversations.bus import thread_topic
from conversations.messages import Author, AuthorKind, Choice, Message, Text
from conversations.ports import HandoffRequest, TurnRequest, TurnResult
from conversations.store import Transaction, messages, threads
from conversations.store.conversations import open_in
from conversations.store.messages import Draft
from conversations.store.tables import handoffs
from conversations.store.tables import threads as threads_table
from frontdoor.pages import CONTENT_SECURITY_POLICY
from handoff.agents import Agent
from handoff.room import HandoffRoom
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenContext, Watch
from tests.browser.desk_page import DeskPage, violations
from tests.browser.house import House
from tests.webchat.test_identity import SECRET, by_secret, claims

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
GONE = (
    "ERR_INTERNET_DISCONNECTED",
    "ERR_CONNECTION_REFUSED",
    "WebSocket connection to",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY",
)


async def only_thread(house: House) -> str:
    def job(tx: Transaction) -> str:
        return str(tx.conn.execute(threads_table.select()).one().id)

    return await house.store.read(job)


async def stored(house: House) -> list[Message]:
    """Everything that was said in the only thread, as the database holds it."""
    thread = await only_thread(house)
    return await house.store.read(lambda tx: list(messages.after(tx, thread, 0, 10_000)))


async def customers_words(house: House) -> list[str]:
    return [one.content.text for one in await stored(house) if one.author.kind is AuthorKind.CUSTOMER]


async def accepts(house: House, agent: Agent) -> None:
    def job(tx: Transaction) -> None:
        waiting = handoffs.select().where(handoffs.c.state == "queued")
        HandoffRoom().accept(tx, tx.conn.execute(waiting).one().id, agent)

    await house.store.write(job)


async def agent_says(house: House, agent: Agent, text: str, *choices: Choice) -> None:
    def job(tx: Transaction) -> None:
        thread = threads.lock(tx, tx.conn.execute(threads_table.select()).one().id)
        conversation = open_in(tx, thread.id)
        assert conversation is not None
        author = Author(AuthorKind.AGENT, agent.name, agent.id)
        messages.append(tx, thread, conversation, Draft(author, Text(text, choices)))

    await house.store.write(job)


async def reaches_an_agent(house: House, chat: ChatPage, name: str = "Ada Byron") -> Agent:
    agent = replace(await house.hire("Ada Byron"), name=name)
    await chat.writes("I want to talk to a person")
    await expect(chat.panel.get_by_role("button", name="Stop waiting")).to_be_visible()
    await accepts(house, agent)
    await chat.sees("has joined")
    return agent


@dataclass
class Site:
    """Somebody's web site, with one page that a test writes, on an origin of its own."""

    url: str
    page: str = ""
    policy: str = ""

    async def answer(self, _: web.Request) -> web.Response:
        head = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Site</title></head>"
        headers = {"Content-Security-Policy": self.policy} if self.policy else {}
        text = f"{head}<body>{self.page}</body></html>"
        return web.Response(text=text, content_type="text/html", headers=headers)

    def forgive(self, watch: Watch) -> None:
        """That the browser came here is no surprise."""
        watch.foreign = [url for url in watch.foreign if not url.startswith(self.url)]


@pytest.fixture
async def site(house: House) -> AsyncIterator[Site]:
    """A site that may embed the chat."""
    app = web.Application()
    made = Site("")
    app.router.add_get("/{path:.*}", made.answer)
    async with TestServer(app) as server:
        made.url = str(server.make_url("")).rstrip("/")
        await house.stop()
        house.more["chat_origins"] = (house.url, made.url)
        await house.start()
        yield made


# ------------------------------------------------------------------ story


async def test_a_customer_asks_takes_a_choice_waits_and_talks_to_an_agent(
    house: House, open_context: OpenContext
) -> None:
    context, _ = await open_context()
    chat = await ChatPage.visit(context)
    await chat.takes("Where is my order?")
    await chat.sees("What is the order number")
    await expect(chat.panel.locator(".row.me").last).to_contain_text("Sent")
    await chat.takes("Talk to a person")
    await expect(chat.panel.get_by_role("status")).to_contain_text("next in line")
    await expect(chat.panel.locator(".choices")).to_be_hidden()
    ada = await house.hire("Ada Byron")
    await accepts(house, ada)
    await chat.sees("Ada Byron has joined the conversation.")
    await expect(chat.panel.locator(".state")).to_have_text("You are talking to Ada Byron")
    await expect(chat.panel.get_by_role("status")).to_be_hidden()
    thread = await only_thread(house)
    house.store.bus.publish(
        thread_topic(thread), {"type": "typing", "author": {"kind": "agent", "name": "Ada Byron"}}
    )
    await expect(chat.panel.locator(".dots")).to_be_visible()
    await agent_says(house, ada, "Hello, this is Ada. See https://help.example/parcels.")
    await chat.sees("Hello, this is Ada.")
    await expect(chat.panel.locator(".dots")).to_be_hidden()
    link = chat.log.get_by_role("link", name="https://help.example/parcels")
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    await chat.writes("Thank you!")
    await chat.is_sent("Thank you!")
    house.store.bus.publish(thread_topic(thread), {"type": "read", "seq": (await stored(house))[-1].seq})
    await expect(chat.panel.locator(".row.me").last).to_contain_text("Seen")


async def test_the_story_with_an_agent_at_the_desk(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    agents, _ = await open_context()
    desk = await DeskPage.open(agents, "Ada")
    await desk.becomes("Available")
    customers, _ = await open_context(**PHONE)
    chat = await ChatPage.visit(customers)
    await chat.writes("Can I talk to a person?")
    await desk.accepts_the_next()
    await chat.sees("Ada Byron has joined")
    await desk.writes("Good morning! What can I do for you?")
    await chat.sees("Good morning! What can I do for you?")
    await chat.writes("My lamp arrived in pieces.")
    await desk.sees("My lamp arrived in pieces.")
    await desk.resolves()
    await chat.sees("Ada Byron has closed this conversation.")
    await chat.sees("This chat has ended.")
    await chat.writes("Where is my order?")
    await chat.sees("What is the order number")


async def test_the_chat_by_keyboard_alone(house: House, open_context: OpenContext) -> None:
    context, _ = await open_context()
    chat = await ChatPage.visit(context, start=False)
    keys = chat.page.keyboard
    await chat.page.locator("footer a").focus()
    await keys.press("Tab")
    await expect(chat.launcher).to_be_focused()
    await keys.press("Enter")
    await expect(chat.field).to_be_focused()
    await keys.type("Where is my order?")
    await keys.press("Shift+Enter")
    await keys.type("The lamp.")
    await keys.press("Enter")
    await chat.sees("What is the order number")
    assert await chat.said() == ["Where is my order?\nThe lamp."]
    await keys.press("Shift+Tab")
    await keys.press("Shift+Tab") if await _focused(chat) != "Talk to a person" else None
    assert await _focused(chat) == "Talk to a person"
    await keys.press("Enter")
    await expect(chat.field).to_be_focused()
    await expect(chat.panel.get_by_role("button", name="Stop waiting")).to_be_visible()
    while await _focused(chat) != "More":
        await keys.press("Shift+Tab")
    await keys.press("Enter")
    await keys.press("Tab")
    assert await _focused(chat) == "End chat"
    await keys.press("Escape")
    assert await _focused(chat) == "More"
    await keys.press("Enter")
    await keys.press("Tab")
    await keys.press("Enter")
    assert await _focused(chat) == "Keep chatting"
    await keys.press("Tab")
    await keys.press("Enter")
    await chat.sees("You ended this chat.")
    await keys.press("Escape")
    await expect(chat.panel).to_be_hidden()
    await expect(chat.launcher).to_be_focused()


async def _focused(chat: ChatPage) -> str:
    found: str = await chat.page.evaluate(
        "() => { const at = document.activeElement?.shadowRoot?.activeElement;"
        " return at?.ariaLabel || at?.getAttribute('aria-label') || at?.textContent || ''; }"
    )
    return found


async def test_on_a_phone_it_fills_the_screen_and_keeps_the_focus(
    house: House, open_context: OpenContext
) -> None:
    context, _ = await open_context(**PHONE)
    chat = await ChatPage.visit(context)
    assert await chat.panel.bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 844}
    await expect(chat.launcher).to_be_hidden()
    await expect(chat.panel).to_have_attribute("aria-modal", "true")
    for _ in range(12):
        await chat.page.keyboard.press("Tab")
        assert await chat.page.evaluate("document.activeElement.tagName") == "FOYER-CHAT"
    await chat.writes("Where is my order?")
    await chat.sees("What is the order number")
    small = await chat.page.evaluate(
        "() => [...document.querySelector('foyer-chat').shadowRoot.querySelectorAll('button')].filter((one) => one.offsetParent)"
        ".map((one) => one.getBoundingClientRect()).filter((box) => box.width < 44 || box.height < 44).length"
    )
    assert small == 0
    await chat.must_fit()
    # The keyboard takes the lower half of what is seen.
    await chat.page.set_viewport_size({"width": 390, "height": 420})
    box = await chat.field.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 420
    await expect(chat.panel.get_by_role("button", name="Close chat")).to_be_in_viewport()


# ------------------------------------------------------- losing nothing


async def test_the_network_goes_and_comes_back_in_the_middle(house: House, open_context: OpenContext) -> None:
    context, watch = await open_context()
    watch.forgive(*GONE)
    chat = await ChatPage.visit(context)
    ada = await reaches_an_agent(house, chat)
    await context.set_offline(True)
    await chat.writes("first while away")
    await chat.writes("second while away")
    await expect(chat.panel.get_by_role("status")).to_contain_text("No connection")
    await expect(chat.panel.locator(".row.sending")).to_have_count(2)
    await agent_says(house, ada, "Are you still there?")
    await context.set_offline(False)
    await chat.sees("Are you still there?")
    await chat.is_sent("second while away")
    await expect(chat.panel.get_by_role("status")).to_be_hidden()
    assert (await customers_words(house))[1:] == ["first while away", "second while away"]
    assert (await chat.said())[1:] == ["first while away", "second while away"]


async def test_the_front_door_dies_and_comes_back_under_the_open_page(
    house: House, open_context: OpenContext
) -> None:
    context, watch = await open_context()
    watch.forgive(*GONE)
    chat = await ChatPage.visit(context)
    await chat.writes("Where is my order?")
    await chat.sees("What is the order number")
    await house.stop()
    for number in range(3):
        await chat.writes(f"message {number} to a closed door")
    await expect(chat.panel.get_by_role("status")).to_contain_text("No connection")
    await house.start()
    await chat.is_sent("message 2 to a closed door")
    wanted = ["Where is my order?", *(f"message {number} to a closed door" for number in range(3))]
    assert await customers_words(house) == wanted
    assert await chat.said() == wanted


async def test_an_ack_that_is_lost_doubles_nothing(house: House, open_context: OpenContext) -> None:
    context, watch = await open_context()
    watch.forgive(*GONE)
    acks = 0

    async def meddle(socket: Any) -> None:
        server = socket.connect_to_server()

        def told(raw: str) -> None:
            nonlocal acks
            frame = json.loads(raw)
            if frame["type"] in ("ack", "message") and frame.get("id"):
                acks += 1
                if acks <= 2:
                    asyncio.ensure_future(socket.close(code=1011))  # noqa: RUF006 - ends with the test
                    return
            socket.send(raw)

        server.on_message(told)

    await context.route_web_socket("**/chat/ws", meddle)
    chat = await ChatPage.visit(context)
    await chat.writes("only once, please")
    await chat.is_sent("only once, please")
    await chat.sees("could you say it in other words")
    assert await customers_words(house) == ["only once, please"]
    assert await chat.said() == ["only once, please"]


async def test_a_reload_in_the_middle_of_sending(house: House, open_context: OpenContext) -> None:
    context, watch = await open_context()
    watch.forgive(*GONE)
    swallow = True

    async def meddle(socket: Any) -> None:
        server = socket.connect_to_server()
        socket.on_message(lambda raw: None if swallow and '"message"' in raw else server.send(raw))

    await context.route_web_socket("**/chat/ws", meddle)
    chat = await ChatPage.visit(context)
    await chat.writes("on its way")
    await chat.writes("right behind")
    await expect(chat.panel.locator(".row.sending")).to_have_count(2)
    await chat.field.fill("a draft that is not sent")
    await chat.page.reload()
    await expect(chat.panel.locator(".row.sending")).to_have_count(2)
    swallow = False
    await chat.page.reload()
    await chat.is_sent("right behind")
    await expect(chat.field).to_have_value("a draft that is not sent")
    assert await chat.said() == ["on its way", "right behind"]
    assert await customers_words(house) == ["on its way", "right behind"]


async def test_two_tabs_of_one_customer_are_one_chat(house: House, open_context: OpenContext) -> None:
    context, _ = await open_context()
    one = await ChatPage.visit(context)
    two = await ChatPage.visit(context)
    await asyncio.gather(one.writes("from the first tab"), two.writes("from the second tab"))
    await one.sees("from the second tab")
    await two.sees("from the first tab")
    await expect(one.panel.locator(".row.me .bubble")).to_have_count(2)
    await expect(two.panel.locator(".row.me .bubble")).to_have_count(2)
    assert sorted(await customers_words(house)) == ["from the first tab", "from the second tab"]
    assert await one.said() == await two.said() == await customers_words(house)


async def test_what_a_closed_tab_could_not_send_the_other_one_sends(
    house: House, open_context: OpenContext
) -> None:
    context, watch = await open_context()
    watch.forgive(*GONE)
    one = await ChatPage.visit(context)
    await one.writes("hello")
    await one.sees("I did not get that")
    two = await ChatPage.visit(context)
    await two.sees("hello")
    await house.stop()
    await one.writes("from the tab that is closed")
    await one.page.close()
    await house.start()
    await two.is_sent("from the tab that is closed")
    assert await customers_words(house) == ["hello", "from the tab that is closed"]


async def test_a_session_that_ended_takes_what_waited_along(house: House, open_context: OpenContext) -> None:
    context, watch = await open_context()
    watch.forgive(*GONE)
    chat = await ChatPage.visit(context)
    await chat.writes("hello")
    await chat.sees("I did not get that")
    token = await chat.page.evaluate(
        "() => JSON.parse(Object.entries(localStorage).find(([key]) => key.endsWith(':session'))[1]).token"
    )
    ended = await context.request.post(
        f"{house.url}/chat/session/end", headers={"Authorization": f"Bearer {token}", "Origin": house.url}
    )
    assert ended.status == 200
    await chat.writes("in a new thread")
    await chat.is_sent("in a new thread")
    assert await chat.said() == ["in a new thread"]


async def test_more_than_the_replay_is_there_when_asked_for(house: House, open_context: OpenContext) -> None:
    context, _ = await open_context()
    chat = await ChatPage.visit(context)
    ada = await reaches_an_agent(house, chat)

    def many(tx: Transaction) -> None:
        thread = threads.lock(tx, tx.conn.execute(threads_table.select()).one().id)
        conversation = open_in(tx, thread.id)
        assert conversation is not None
        for number in range(600):
            author = Author(AuthorKind.AGENT, ada.name, ada.id)
            messages.append(tx, thread, conversation, Draft(author, Text(f"line {number}")))

    await house.store.write(many)
    await chat.page.reload()
    await chat.sees("line 599")
    await expect(chat.log.get_by_text("line 50", exact=True)).to_have_count(0)
    earlier = chat.panel.get_by_role("button", name="Show earlier messages")
    while await earlier.is_visible():
        shown = await chat.bubbles.count()
        await earlier.click()
        await expect(chat.bubbles).not_to_have_count(shown)
    await expect(chat.log.get_by_text("I want to talk to a person")).to_be_attached()
    assert await chat.bubbles.count() >= 602


# ------------------------------------------------------ small promises


async def test_the_badge_counts_what_was_not_seen_in_every_tab(
    house: House, open_context: OpenContext
) -> None:
    context, _ = await open_context()
    chat = await ChatPage.visit(context)
    ada = await reaches_an_agent(house, chat)
    await chat.page.keyboard.press("Escape")
    other = await ChatPage.visit(context, start=False)
    await agent_says(house, ada, "one")
    await agent_says(house, ada, "two")
    for tab in (chat, other):
        await expect(tab.launcher).to_have_accessible_name("Open chat, 2 unread messages")
    await other.opens()
    for tab in (chat, other):
        await expect(tab.page.locator("foyer-chat .badge")).to_be_hidden()
    await chat.page.reload()
    await expect(chat.launcher).to_have_accessible_name("Open chat")


async def test_a_message_that_is_refused_can_be_tried_again_or_thrown_away(
    house: House, open_context: OpenContext
) -> None:
    context, _ = await open_context()
    refusals = 2

    async def meddle(socket: Any) -> None:
        server = socket.connect_to_server()

        def sent(raw: str) -> None:
            nonlocal refusals
            frame = json.loads(raw)
            if frame["type"] == "message" and refusals:
                refusals -= 1
                answer = {
                    "type": "error",
                    "id": frame["id"],
                    "code": "too_long",
                    "message": "",
                    "then": "drop",
                }
                socket.send(json.dumps(answer))
            else:
                server.send(raw)

        socket.on_message(sent)

    await context.route_web_socket("**/chat/ws", meddle)
    chat = await ChatPage.visit(context)
    await chat.writes("one")
    await expect(chat.panel.locator(".row.failed")).to_contain_text("Too long")
    await chat.writes("two")
    await expect(chat.panel.locator(".row.failed")).to_have_count(2)
    await chat.page.reload()
    await expect(chat.panel.locator(".row.failed")).to_have_count(2)
    await chat.panel.get_by_role("button", name="Discard").first.click()
    await chat.panel.get_by_role("button", name="Try again").click()
    await chat.is_sent("two")
    assert await customers_words(house) == ["two"]


async def test_the_transcript_is_a_text_file_of_all_that_was_said(
    house: House, open_context: OpenContext
) -> None:
    context, _ = await open_context()
    chat = await ChatPage.visit(context)
    await reaches_an_agent(house, chat)
    await chat.panel.get_by_role("button", name="More").click()
    async with chat.page.expect_download() as download:
        await chat.panel.get_by_role("button", name="Download transcript").click()
    file = await (await download.value).path()
    text = file.read_text()
    assert "You: I want to talk to a person" in text
    assert "Ada Byron has joined the conversation." in text
    assert (await download.value).suggested_filename.startswith("chat-")


async def test_pages_can_talk_to_it(house: House, open_context: OpenContext) -> None:
    context, _ = await open_context()
    chat = await ChatPage.visit(context, start=False)
    await chat.page.evaluate(
        "() => { window.heard = []; for (const name of ['open', 'close', 'message', 'unread', 'control'])"
        " window.off = Foyer.on(name, (detail) => heard.push([name, detail])); Foyer.open(); }"
    )
    await expect(chat.field).to_be_focused()
    await chat.writes("Where is my order?")
    await chat.sees("What is the order number")
    await chat.page.evaluate("Foyer.toggle()")
    await expect(chat.panel).to_be_hidden()
    heard = await chat.page.evaluate("heard")
    names = [name for name, _ in heard]
    assert names[0] == "open"
    assert names[-1] == "close"
    said = next(detail for name, detail in heard if name == "message")
    assert (said["author"], said["seq"]) == ("assistant", 2)
    assert ["control", {"control": "assistant", "name": None}] in heard


async def test_typed_text_is_left_alone_while_a_character_is_composed(
    house: House, open_context: OpenContext
) -> None:
    context, _ = await open_context()
    chat = await ChatPage.visit(context)
    await chat.field.fill("こん")
    await chat.field.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    await expect(chat.field).to_have_value("こん")
    assert await chat.said() == []


# ----------------------------------------------------- who the customer is


@pytest.fixture
def signing(house: House) -> House:
    house.more |= {"chat_identity_algorithm": "HS256", "chat_identity_key": SecretStr(SECRET)}
    return house


async def token(house: House, sub: str, **more: Any) -> str:
    now = await house.store.read(lambda tx: tx.now / 1000)
    return by_secret(claims(now, sub=sub, **more))


async def test_a_signed_customer_goes_on_elsewhere_and_leaves_nothing_behind(
    signing: House, open_context: OpenContext
) -> None:
    house = signing
    await house.stop()
    await house.start()
    context, _ = await open_context()
    chat = await ChatPage.visit(context)
    await chat.writes("before I logged in")
    await chat.sees("I did not get that")
    await chat.page.evaluate(
        "(token) => Foyer.identify(token)", await token(house, "ada", name="Ada Lovelace")
    )
    await chat.writes("as Ada")
    await chat.is_sent("as Ada")
    assert await chat.said() == ["before I logged in", "as Ada"]

    elsewhere, _ = await open_context()
    laptop = await ChatPage.visit(elsewhere, start=False)
    await laptop.page.evaluate(
        "(token) => Foyer.identify(() => Promise.resolve(token))", await token(house, "ada")
    )
    await laptop.opens()
    await laptop.sees("as Ada")
    await laptop.writes("from the laptop")
    await chat.sees("from the laptop")

    await laptop.page.evaluate("(token) => Foyer.identify(token)", await token(house, "grace"))
    await expect(laptop.panel.locator(".row.me")).to_have_count(0)
    await laptop.writes("as Grace")
    await laptop.is_sent("as Grace")
    await expect(chat.log.get_by_text("as Grace")).to_have_count(0)

    await laptop.page.evaluate("Foyer.identify(null)")
    await expect(laptop.panel.locator(".row.me")).to_have_count(0)
    left = await laptop.page.evaluate("Object.keys(localStorage)")
    assert left == []


async def test_an_identity_that_is_refused_is_told_to_the_page(
    signing: House, open_context: OpenContext
) -> None:
    house = signing
    await house.stop()
    await house.start()
    context, _ = await open_context()
    chat = await ChatPage.visit(context, start=False)
    await chat.page.evaluate(
        "(token) => { window.codes = []; Foyer.on('error', ({code}) => codes.push(code)); Foyer.identify(token); }",
        await token(house, "ada", aud="another"),
    )
    await chat.opens()
    await chat.writes("hello all the same")
    await chat.is_sent("hello all the same")
    assert await chat.page.evaluate("codes") == ["bad_identity"]


# ------------------------------------------------------------ rough pages

HOSTILE = """<style>
  * { all: unset !important; display: block !important; font-size: 40px !important; color: lime !important;
      direction: rtl !important; text-transform: uppercase !important; visibility: visible !important; }
  foyer-chat { display: none !important; position: static !important; opacity: 0.1 !important;
               transform: rotate(9deg) !important; }
  button, div, section { background: red !important; }
</style><p>Hostile</p>"""


async def test_a_page_s_styles_stay_outside(house: House, site: Site, open_context: OpenContext) -> None:
    context, watch = await open_context()
    site.page = HOSTILE + f'<script src="{house.url}/chat/widget.js"></script>'
    chat = await ChatPage.visit(context, site.url)
    await chat.writes("Where is my order?")
    await chat.sees("What is the order number")
    await chat.must_fit()
    bubble = chat.panel.locator(".row.them .bubble").last
    look = await bubble.evaluate(
        "(one) => { const s = getComputedStyle(one); return [s.fontSize, s.direction, s.textTransform]; }"
    )
    assert look == ["15px", "ltr", "none"]
    box = await chat.panel.bounding_box()
    assert box is not None
    assert (box["width"], box["x"] + box["width"]) == (384, 1440 - 20)
    site.forgive(watch)


async def test_a_strict_policy_needs_the_documented_directives_and_no_more(
    house: House, site: Site, open_context: OpenContext
) -> None:
    context, watch = await open_context()
    site.policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {house.url}",
            f"connect-src {house.url} {house.url.replace('http', 'ws')}",
            "require-trusted-types-for 'script'",
            "base-uri 'none'",
        )
    )
    site.page = f'<main><h1>Site</h1></main><script src="{house.url}/chat/widget.js"></script>'
    watch.forgive("favicon.ico")
    chat = await ChatPage.visit(context, site.url)
    await chat.writes("Where is my order?")
    await chat.sees("What is the order number")
    await chat.takes("Talk to a person")
    await expect(chat.panel.get_by_role("button", name="Stop waiting")).to_be_visible()
    color = await chat.panel.locator(".head").evaluate("(one) => getComputedStyle(one).backgroundColor")
    assert color == "rgb(16, 105, 90)"
    site.forgive(watch)


def test_the_demo_s_own_policy_forbids_what_is_inline() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY


async def test_a_site_that_is_not_on_the_list_gets_no_chat(
    house: House, site: Site, open_context: OpenContext
) -> None:
    context, watch = await open_context()
    watch.forgive("403", "CORS", "ERR_FAILED")
    site.page = f'<script src="{house.url}/chat/widget.js"></script>'
    chat = await ChatPage.visit(context, site.url.replace("127.0.0.1", "localhost"))
    await chat.writes("hello")
    # A browser does not let a page read a refusal: it looks like a network that is away.
    await expect(chat.panel.get_by_role("status")).to_be_visible()
    await expect(chat.panel.locator(".row.sending")).to_have_count(1)
    watch.foreign.clear()


MARKUP = (
    '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script><b>bold</b> &amp; javascript:alert(1)'
)
RIGHT_TO_LEFT = "שלום, איפה ההזמנה שלי FY-104233? \u202eevil\u202c"
ENDLESS = "W" * 4096


@pytest.mark.parametrize("device", ["laptop", "phone"])
async def test_text_stays_text_and_the_layout_holds(
    house: House, open_context: OpenContext, device: str
) -> None:
    def echo(request: TurnRequest) -> TurnResult:
        choices = (Choice(MARKUP[:120], "/a"), Choice("x" * 200, "/b"))
        if "person" in request.text:
            return TurnResult(handoff=HandoffRequest("customer_asked"))
        return TurnResult(replies=(Text(request.text, choices),))

    house.assistant.answer = echo
    context, _ = await open_context(**(PHONE if device == "phone" else {}))
    chat = await ChatPage.visit(context)
    for number, text in enumerate((MARKUP, RIGHT_TO_LEFT, ENDLESS, "line\n\n  two", "👩‍👩‍👧 " * 60), 1):
        await chat.writes(text)
        await expect(chat.panel.locator(".row.them .bubble:not(.dots)")).to_have_count(number + 1)
        assert (await chat.said())[-1] == text.strip()
        await chat.must_fit()
    assert await chat.page.evaluate("window.hurt") is None
    assert await chat.log.locator("img, script, b").count() == 0
    ada = await reaches_an_agent(house, chat, "Ada " + "A" * 196)
    await agent_says(house, ada, "hello")
    await chat.sees("hello")
    await chat.must_fit()


@pytest.mark.parametrize(
    "accent", ["#ffe600", "#ffffff", "#000000", "#ff5a5f", "#0a66ff", "#7a7a7a", "hsl(300 80% 60%)"]
)
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_any_accent_stays_readable(
    house: House, site: Site, open_context: OpenContext, axe: str, accent: str, theme: str
) -> None:
    context, watch = await open_context()
    src = f"{house.url}/chat/widget.js"
    site.page = (
        f'<main><h1>Site</h1></main><script src="{src}" data-accent="{accent}" data-theme="{theme}"></script>'
    )
    chat = await ChatPage.visit(context, site.url)
    await chat.writes("Where is my order?")
    await chat.sees("What is the order number")
    assert await violations(chat.page, axe) == []
    site.forgive(watch)


# -------------------------------------------------------------- everyone


async def _closed(house: House, chat: ChatPage) -> None:
    await chat.page.keyboard.press("Escape")


async def _opened(house: House, chat: ChatPage) -> None:
    await expect(chat.panel.locator(".choices")).to_be_visible()


async def _choices(house: House, chat: ChatPage) -> None:
    await chat.writes("Where is my order?")
    await chat.sees("What is the order number")


async def _menu(house: House, chat: ChatPage) -> None:
    await _choices(house, chat)
    await chat.panel.get_by_role("button", name="More").click()


async def _confirm(house: House, chat: ChatPage) -> None:
    await _menu(house, chat)
    await chat.panel.get_by_role("button", name="End chat").click()


async def _queue(house: House, chat: ChatPage) -> None:
    await chat.writes("human please")
    await expect(chat.panel.get_by_role("button", name="Stop waiting")).to_be_visible()


async def _agent(house: House, chat: ChatPage) -> None:
    ada = await reaches_an_agent(house, chat)
    await agent_says(house, ada, "Hello! Look at https://help.example/x first.")
    await agent_says(house, ada, "Then tell me what you see.")
    await chat.writes("I will, thank you.")
    await chat.is_sent("I will, thank you.")


async def _unread(house: House, chat: ChatPage) -> None:
    ada = await reaches_an_agent(house, chat)
    await chat.page.keyboard.press("Escape")
    await agent_says(house, ada, "Are you there?")
    await expect(chat.page.locator("foyer-chat .badge")).to_be_visible()


async def _ended(house: House, chat: ChatPage) -> None:
    await _confirm(house, chat)
    await chat.panel.get_by_role("button", name="End chat", exact=True).last.click()
    await chat.sees("You ended this chat.")


async def _offline(house: House, chat: ChatPage) -> None:
    await _choices(house, chat)
    await chat.page.context.set_offline(True)
    await chat.writes("into the void")
    await expect(chat.panel.get_by_role("status")).to_contain_text("No connection")


STATES = {
    "closed": _closed,
    "open": _opened,
    "choices": _choices,
    "menu": _menu,
    "confirm": _confirm,
    "queue": _queue,
    "agent": _agent,
    "unread": _unread,
    "ended": _ended,
    "offline": _offline,
}


@pytest.mark.parametrize("state", STATES)
async def test_axe_finds_nothing(house: House, open_context: OpenContext, axe: str, state: str) -> None:
    context, watch = await open_context()
    watch.forgive(*GONE)
    chat = await ChatPage.visit(context)
    await STATES[state](house, chat)
    page = chat.page
    for width, scheme in ((1440, "light"), (1440, "dark"), (390, "dark"), (390, "light")):
        await page.set_viewport_size({"width": width, "height": 844})
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        found = await violations(page, axe)
        assert found == [], (width, scheme, found)


@pytest.mark.parametrize("path", ["/", "/demo/"])
async def test_axe_finds_nothing_on_the_local_pages(
    house: House, open_context: OpenContext, axe: str, path: str
) -> None:
    context, _ = await open_context()
    page = await context.new_page()
    for width, scheme in ((1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")):
        await page.set_viewport_size({"width": width, "height": 844})
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.goto(path)
        await _settled(page, path)
        assert await violations(page, axe) == []
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def _settled(page: Page, path: str) -> None:
    if path == "/":
        await expect(page.get_by_text("Database ready")).to_be_visible()
    else:
        await expect(page.locator("foyer-chat .launcher")).to_be_visible()


async def test_without_a_demo_agent_the_landing_page_says_how_to_make_one(
    house: House, open_context: OpenContext
) -> None:
    context, _ = await open_context()
    page = await context.new_page()
    await page.goto("/")
    await _settled(page, "/")
    await expect(page.get_by_text("Make yourself an agent")).to_be_visible()
    await expect(page.get_by_text("Demo agent")).to_be_hidden()


async def test_the_landing_page_leads_to_the_shop_and_the_desk(
    house: House, open_context: OpenContext
) -> None:
    (house.home / "demo-agent.json").write_text(
        json.dumps({"email": "demo@foyer.example", "password": "hunter2!"})
    )
    context, _ = await open_context()
    page = await context.new_page()
    await page.goto("/")
    await expect(page.get_by_text("demo@foyer.example")).to_be_visible()
    await expect(page.get_by_text("Make yourself an agent")).to_be_hidden()
    await expect(page.get_by_text("demo-agent.json")).to_be_visible()
    assert "hunter2!" not in await page.content()
    await page.get_by_role("link", name="Open the desk").click()
    await page.wait_for_url("**/desk/")
    await page.go_back()
    await page.get_by_role("link", name="Visit the demo shop").click()
    await (
        page.get_by_role("button", name="Add kettle")
        .or_(page.get_by_role("button", name="Add stovetop kettle"))
        .click()
    )
    await expect(page.get_by_text("1 items")).to_be_visible()
    await page.get_by_role("button", name="Ask us anything").click()
    await expect(ChatPage(page).field).to_be_focused()
