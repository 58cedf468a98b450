"""The desk in a real browser: an agent's day, by mouse and by keyboard, and what goes wrong in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.conftest import OpenContext
from tests.browser.desk_page import DeskPage, violations
from tests.browser.house import House
from tests.browser.scenes import HOSTILE, SCENES, SIZES, THEMES

pytestmark = pytest.mark.timeout(180)

# What a browser says about a front door that is down, and about a refused request.
NETWORK = ("net::ERR", "WebSocket connection to", "503 (Service Unavailable)")
CONFLICT = "409 (Conflict)"


async def test_a_conversation_from_the_queue_to_its_end(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await desk.becomes("Available")
    await expect(desk.page).to_have_title("Desk · Foyer")

    mara = house.customer("mara")
    await mara.says("Where is my order?", "It is FY-104233, LS1 4DY", "I want a human")
    await expect(desk.queue.get_by_text("Mara Lindqvist")).to_be_visible()
    await expect(desk.page).to_have_title("(1) Desk · Foyer")
    await desk.accepts_the_next()

    await expect(desk.panel.get_by_text("Asked for a person", exact=True)).to_be_visible()
    await expect(desk.panel.get_by_text("by order number and postcode", exact=True)).to_be_visible()
    await expect(desk.panel.get_by_text("NL-55-0193-7", exact=True)).to_be_visible()
    await expect(desk.transcript.get_by_text("order status 93 %")).to_be_visible()

    await mara.types()
    await expect(desk.transcript.get_by_text("Mara Lindqvist is typing")).to_be_visible()
    await mara.writes("Hello?")
    await desk.sees("Hello?")
    await desk.writes("Hello Mara, I am Ada.")
    await desk.sees("Hello Mara, I am Ada.")
    assert (await mara.hears())[-1] == "agent: Hello Mara, I am Ada."

    await desk.page.get_by_text("Note", exact=True).click()
    await desk.writes("Polite and in a hurry.")
    await expect(desk.transcript.get_by_role("article", name="Note")).to_contain_text(
        "Polite and in a hurry."
    )
    assert not any("hurry" in line for line in await mara.hears())

    await desk.resolves()
    await expect(desk.page.get_by_text("Resolved. The customer's next message")).to_be_visible()
    await expect(desk.mine.get_by_text("None yet")).to_be_visible()
    assert str((await mara.conversation()).control) == "closed"


async def test_by_keyboard_alone(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    mara = house.customer("mara")
    await mara.says("I want a human")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada", log_in=False)
    keyboard = desk.page.keyboard
    await expect(desk.page.get_by_label("E-mail address")).to_be_focused()
    await keyboard.type("ada@foyer.example")
    await keyboard.press("Tab")
    await keyboard.type("correct horse battery staple")
    await keyboard.press("Enter")
    await expect(desk.queue.get_by_role("listitem")).to_have_count(1)

    await keyboard.press("p")
    await expect(desk.page.get_by_role("button", name="Presence: Available")).to_be_visible()
    await keyboard.press("?")
    await expect(desk.page.get_by_role("dialog", name="Keys")).to_be_visible()
    await keyboard.press("Escape")
    await keyboard.press("j")
    await expect(desk.page.get_by_role("button", name="Decline")).to_be_visible()
    await keyboard.press("a")
    await expect(desk.field).to_be_focused()
    await keyboard.type("First line")
    await keyboard.press("Shift+Enter")
    await keyboard.type("second line")
    await keyboard.press("Enter")
    await desk.sees("First line second line")
    assert (await mara.hears())[-1] == "agent: First line\nsecond line"
    await keyboard.press("Alt+n")
    await keyboard.type("a note")
    await keyboard.press("Enter")
    await expect(desk.transcript.get_by_role("article", name="Note")).to_be_visible()

    await keyboard.press("Escape")
    await keyboard.press("t")
    await expect(desk.page.get_by_role("dialog", name="Transfer to a queue")).to_be_visible()
    await keyboard.press("Escape")
    await expect(desk.page.get_by_role("dialog")).to_have_count(0)
    await keyboard.press("e")
    dialog = desk.page.get_by_role("dialog", name="Resolve this conversation")
    await expect(dialog).to_be_visible()
    await dialog.get_by_role("radio", name="Solved").focus()
    await keyboard.press("ArrowDown")
    await keyboard.press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(desk.mine.get_by_text("None yet")).to_be_visible()
    await keyboard.press("l")


async def test_a_list_is_walked_with_the_arrows(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    for name in "abc":
        await house.customer(name).says("human")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await desk.page.keyboard.press("l")
    rows = desk.queue.locator("[data-row]")
    await expect(rows.nth(0)).to_be_focused()
    await desk.page.keyboard.press("ArrowDown")
    await desk.page.keyboard.press("ArrowDown")
    await desk.page.keyboard.press("ArrowDown")
    await expect(rows.nth(2)).to_be_focused()
    await desk.page.keyboard.press("Home")
    await expect(rows.nth(0)).to_be_focused()
    await desk.page.keyboard.press("Tab")
    await expect(desk.queue.get_by_role("button", name="Accept").first).to_be_focused()


async def test_single_letters_can_be_turned_off(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    await house.customer().says("human")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await desk.page.keyboard.press("?")
    await desk.page.get_by_role("checkbox").uncheck()
    await desk.page.keyboard.press("Escape")
    await desk.page.keyboard.press("j")
    await desk.page.keyboard.press("a")
    await expect(desk.queue.get_by_role("listitem")).to_have_count(1)
    await expect(desk.page.get_by_role("heading", name="Somebody is waiting")).to_be_visible()


async def test_who_comes_second_is_told_the_winners_name(house: House, open_context: OpenContext) -> None:
    for name in ("Ada Byron", "Bo Chen"):
        await house.hire(name)
    await house.customer("mara").says("human")
    first, _ = await open_context()
    second, watch = await open_context()
    watch.forgive(CONFLICT)
    ada, bo = await DeskPage.open(first, "Ada"), await DeskPage.open(second, "Bo")

    async def first_ada(route: Route) -> None:
        await ada.accepts_the_next()
        await route.continue_()

    await bo.page.route("**/accept", first_ada, times=1)
    await bo.queue.get_by_role("button", name="Accept").click()
    await expect(bo.page.get_by_role("alert").filter(has_text="Ada Byron was quicker")).to_be_visible()


async def test_several_conversations_with_unread_marks(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    customers = [house.customer(name) for name in "ab"]
    for customer in customers:
        await customer.says("human")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await desk.accepts_the_next()
    await desk.queue.get_by_role("button", name="Accept").click()
    await expect(desk.mine.get_by_role("listitem")).to_have_count(2)
    shown = desk.mine.locator("[aria-current=true]")
    await expect(shown).to_have_count(1)
    await customers[0].writes("first")
    await customers[0].writes("second")
    hidden = desk.mine.locator("[data-row]:not([aria-current])")
    await expect(hidden).to_contain_text("second")
    await expect(hidden.get_by_text("unread")).to_be_attached()
    await expect(desk.page).to_have_title("(1) Desk · Foyer")
    await desk.page.keyboard.press("Alt+ArrowDown")
    await desk.sees("second")
    await expect(desk.mine.get_by_text("unread")).to_have_count(0)
    await expect(desk.page).to_have_title("Desk · Foyer")


async def test_a_draft_survives_a_reload(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    await house.customer().says("human")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await desk.accepts_the_next()
    await desk.field.fill("Half of a sentence")
    await desk.page.reload()
    await expect(desk.field).to_have_value("Half of a sentence")


async def test_an_answer_to_what_was_not_read_is_held_back(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    mara = house.customer()
    await mara.says("human")
    context, watch = await open_context()
    watch.forgive(CONFLICT)
    desk = await DeskPage.open(context, "Ada")
    await desk.accepts_the_next()
    await desk.field.fill("It goes to your home, then.")

    async def meanwhile(route: Route) -> None:
        await mara.writes("No, to my office!")
        await route.continue_()

    await desk.page.route("**/messages", meanwhile, times=1)
    await desk.field.press("Enter")
    await expect(desk.transcript.get_by_role("alert")).to_contain_text("Somebody has written meanwhile")
    await desk.sees("No, to my office!")
    assert not any("home" in line for line in await mara.hears())
    await desk.transcript.get_by_role("button", name="Edit").click()
    await expect(desk.field).to_have_value("It goes to your home, then.")
    await desk.writes("It goes to your office, then.")
    await desk.sees("It goes to your office, then.")
    assert (await mara.hears())[-1] == "agent: It goes to your office, then."


async def test_sending_anyway(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    mara = house.customer()
    await mara.says("human")
    context, watch = await open_context()
    watch.forgive(CONFLICT)
    desk = await DeskPage.open(context, "Ada")
    await desk.accepts_the_next()

    async def meanwhile(route: Route) -> None:
        await mara.writes("thanks!")
        await route.continue_()

    await desk.page.route("**/messages", meanwhile, times=1)
    await desk.writes("It is on its way.")
    await desk.transcript.get_by_role("button", name="Send anyway").click()
    await expect(desk.transcript.get_by_role("alert")).to_have_count(0)
    assert [line for line in await mara.hears() if "on its way" in line] == ["agent: It is on its way."]


async def test_the_front_door_is_restarted_under_an_open_desk(
    house: House, open_context: OpenContext
) -> None:
    """What was written meanwhile is sent once, and what was missed is heard."""
    await house.hire("Ada Byron")
    mara = house.customer("mara")
    await mara.says("human")
    context, watch = await open_context()
    watch.forgive(*NETWORK, CONFLICT)
    desk = await DeskPage.open(context, "Ada")
    await desk.accepts_the_next()
    await house.stop()
    await expect(desk.page.get_by_text("Offline for")).to_be_visible()
    await desk.writes("Written while nobody listened")
    await expect(desk.transcript.get_by_text("sent as soon as Foyer can be reached")).to_be_visible()
    await house.start()
    await mara.writes("Still there?")
    await expect(desk.page.get_by_text("Live", exact=True)).to_be_visible(timeout=30_000)
    await desk.sees("Still there?")
    # Somebody wrote behind what Ada had read: she decides.
    again = desk.transcript.get_by_role("button", name="Send anyway")
    sent = desk.transcript.get_by_role("article", name="You")
    await expect(again.or_(sent).first).to_be_visible(timeout=30_000)
    if await again.count():
        await again.click()
    await expect(sent).to_have_count(1)
    heard = await mara.hears()
    assert heard.count("agent: Written while nobody listened") == 1


async def test_the_network_is_cut_and_comes_back(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    mara = house.customer("mara")
    await mara.says("human")
    context, watch = await open_context()
    watch.forgive(*NETWORK)
    desk = await DeskPage.open(context, "Ada")
    await desk.accepts_the_next()
    await context.set_offline(True)
    await desk.writes("Can you hear me?")
    await expect(desk.transcript.get_by_text("sent as soon as")).to_be_visible()
    await context.set_offline(False)
    await expect(desk.transcript.get_by_text("sent as soon as")).to_have_count(0, timeout=30_000)
    assert (await mara.hears()).count("agent: Can you hear me?") == 1


async def test_what_was_not_sent_survives_a_reload(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    mara = house.customer("mara")
    await mara.says("human")
    context, watch = await open_context()
    watch.forgive(*NETWORK)
    desk = await DeskPage.open(context, "Ada")
    await desk.accepts_the_next()
    await desk.page.route("**/messages", lambda route: route.abort())
    await desk.writes("Send me twice if you can")
    await expect(desk.transcript.get_by_text("sent as soon as")).to_be_visible()
    await desk.page.unroute("**/messages")
    await desk.page.reload()
    await expect(desk.transcript.get_by_role("article", name="You")).to_have_count(1)
    assert (await mara.hears()).count("agent: Send me twice if you can") == 1


async def test_the_session_ends_without_the_draft(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    mara = house.customer("mara")
    await mara.says("human")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await desk.accepts_the_next()
    await desk.field.fill("I was just going to say")
    await context.clear_cookies()
    await desk.field.press("Enter")
    dialog = desk.page.get_by_role("dialog", name="Log in again")
    await expect(dialog.get_by_label("E-mail address")).to_have_value("ada@foyer.example")
    await dialog.get_by_label("Password", exact=True).fill("correct horse battery staple")
    await dialog.get_by_label("Password", exact=True).press("Enter")
    await expect(dialog).to_have_count(0)
    await desk.sees("I was just going to say")
    assert (await mara.hears()).count("agent: I was just going to say") == 1


async def test_the_customer_leaves(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    mara = house.customer("mara")
    await mara.says("human")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await desk.accepts_the_next()
    await mara.leaves()
    await expect(desk.page.get_by_text("The customer has left or stopped waiting.")).to_be_visible()
    await expect(desk.page.locator("textarea")).to_have_count(0)


async def test_declining_returning_transferring(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    mara = house.customer("mara")
    await mara.says("human")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await desk.page.keyboard.press("j")
    await desk.page.get_by_role("button", name="Decline").click()
    await expect(desk.queue.get_by_text("declined by you")).to_be_visible()
    await desk.page.get_by_role("button", name="Accept", exact=True).last.click()
    await expect(desk.field).to_be_visible()
    await desk.page.keyboard.press("Escape")
    await desk.page.keyboard.press("t")
    await desk.page.get_by_role("dialog").get_by_label("Note for colleagues").fill("Knows about lamps")
    await desk.page.get_by_role("dialog").get_by_role("button", name="Transfer").click()
    await expect(desk.queue.get_by_role("listitem")).to_have_count(1)
    await desk.accepts_the_next()
    await expect(desk.transcript.get_by_text("Knows about lamps")).to_be_visible()
    await desk.page.get_by_role("button", name="More for this conversation").click()
    await desk.page.get_by_role("menuitem", name="Return to the assistant").click()
    await desk.page.get_by_role("dialog").get_by_role("button", name="Return", exact=True).click()
    await expect(desk.page.get_by_text("Returned: the assistant goes on.")).to_be_visible()
    assert str((await mara.conversation()).control) == "assistant"


async def test_a_supervisor_sees_and_takes_over(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    await house.hire("Sol Reyes", "supervisor")
    await house.customer("mara").says("human")
    first, _ = await open_context()
    second, _ = await open_context()
    ada, sol = await DeskPage.open(first, "Ada"), await DeskPage.open(second, "Sol")
    await ada.accepts_the_next()
    await sol.page.get_by_role("button", name="With colleagues").click()
    await sol.page.get_by_role("region", name="With colleagues").locator("[data-row]").click()
    await sol.page.get_by_role("button", name="Take over").click()
    await expect(sol.field).to_be_visible()
    await expect(ada.page.get_by_text("Sol Reyes has this conversation now.")).to_be_visible()


async def test_logging_out(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await desk.page.get_by_role("button", name="Account:").click()
    await desk.page.get_by_role("menuitem", name="Log out").click()
    await expect(desk.page.get_by_role("heading", name="Welcome to the desk")).to_be_visible()
    await desk.page.reload()
    await expect(desk.page.get_by_role("button", name="Log in")).to_be_visible()


async def test_on_a_phone(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    mara = house.customer("mara")
    await mara.says("It is FY-104233, LS1 4DY", "human")
    context, _ = await open_context(viewport=SIZES["390"], has_touch=True, is_mobile=True)
    desk = await DeskPage.open(context, "Ada")
    await desk.must_fit()
    await desk.queue.get_by_role("button", name="Mara").first.tap()
    await desk.must_fit()
    await desk.page.get_by_role("button", name="Accept").last.tap()
    await expect(desk.field).to_be_visible()
    await desk.page.get_by_role("button", name="What is known").tap()
    await expect(desk.panel).to_be_visible()
    await desk.must_fit()
    await desk.page.get_by_role("button", name="Close", exact=True).first.tap()
    await desk.field.fill("Hello from my phone")
    await desk.page.get_by_role("button", name="Send").tap()
    await desk.sees("Hello from my phone")
    await desk.page.go_back()
    await expect(desk.mine.get_by_role("listitem")).to_have_count(1)
    await desk.mine.locator("[data-row]").tap()
    await desk.sees("Hello from my phone")
    await desk.page.get_by_role("button", name="Back to the lists").tap()
    await expect(desk.queue).to_be_visible()


async def test_colours_follow_the_system_or_a_choice(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    context, _ = await open_context(color_scheme="dark")
    desk = await DeskPage.open(context, "Ada")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = await desk.page.evaluate(background)
    await desk.page.get_by_role("button", name="Colours").click()
    await expect(desk.page.get_by_role("button", name="Colours: Light")).to_be_visible()
    light = await desk.page.evaluate(background)
    assert dark != light
    await desk.page.reload()
    await expect(desk.queue).to_be_visible()
    assert await desk.page.evaluate(background) == light


# Looks for a message's exact text from the beginning of the transcript to its end; only what is in view is drawn.
SHOWN = """async (text) => {
  const log = document.querySelector("[role=log]");
  for (let top = 0; top <= log.scrollHeight; top += 300) {
    log.scrollTop = top;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    if ([...log.querySelectorAll(".bubble p")].some((p) => p.textContent === text)) return true;
  }
  return false;
}"""


async def test_what_customers_write_is_shown_as_it_is(house: House, open_context: OpenContext) -> None:
    context, _ = await open_context()
    page = await SCENES["hostile"](house, context)
    desk = DeskPage(page, "")
    for text in HOSTILE:
        assert await page.evaluate(SHOWN, text), text[:60]
    assert await page.evaluate("window.stolen") is None
    assert await page.locator("img").count() == 0
    for viewport in SIZES.values():
        await page.set_viewport_size(viewport)
        await desk.must_fit()


async def test_a_name_of_200_characters(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    for name in ("W" * 200, "Ж" * 99 + " " + "ש" * 100, "<b>Bo</b>"):
        customer = house.customer()
        customer.sender = replace(customer.sender, name=name)
        await customer.says("human")
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await expect(desk.queue.get_by_text("<b>Bo</b>", exact=True)).to_be_visible()
    await desk.accepts_the_next()
    for viewport in SIZES.values():
        await desk.page.set_viewport_size(viewport)
        await desk.must_fit()


async def test_a_foreign_page_may_not_frame_it_nor_script_it(house: House, open_context: OpenContext) -> None:
    await house.hire("Ada Byron")
    context, watch = await open_context()
    watch.forgive("Trusted", "Content Security Policy", "TrustedHTML", "violates")
    desk = await DeskPage.open(context, "Ada")
    refused = await desk.page.evaluate(
        """() => { try { document.createElement("div").innerHTML = "<b>x</b>"; return false } catch { return true } }"""
    )
    assert refused
    await desk.page.evaluate(
        """() => { const s = document.createElement("style"); s.textContent = "body { color: red }"; document.head.append(s) }"""
    )
    assert await desk.page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"


@pytest.mark.parametrize("name", sorted(SCENES))
async def test_axe_finds_nothing_and_everything_fits(
    name: str, house: House, open_context: OpenContext, axe: str
) -> None:
    context, watch = await open_context()
    watch.forgive(*NETWORK, CONFLICT)
    page = await SCENES[name](house, context)
    for size, viewport in SIZES.items():
        await page.set_viewport_size(viewport)
        for theme in THEMES:
            await page.emulate_media(color_scheme=theme)
            await _painted(page)
            found = await violations(page, axe)
            assert not found, f"{size} {theme}: " + "\n".join(found)
        await DeskPage(page, "").must_fit()


async def _painted(page: Page) -> None:
    await page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


MEASURE = """async ({steps, act}) => {
  const log = document.querySelector("[role=log]");
  const field = document.querySelector("textarea");
  const list = document.querySelector("section[aria-label='My conversations'] .scroller");
  const frames = [];
  let last = performance.now();
  for (let step = 0; step < steps; step += 1) {
    if (act === "type") {
      field.value += "abcdefgh ijkl"[step % 13];
      field.dispatchEvent(new InputEvent("input", {bubbles: true}));
    } else if (act === "read") log.scrollTop = Math.max(0, log.scrollTop - 90);
    else list.scrollTop += (step % 80 < 40 ? 1 : -1) * 140;
    await new Promise((done) => requestAnimationFrame(done));
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  frames.sort((a, b) => a - b);
  return {p50: frames[Math.floor(steps / 2)], p95: frames[Math.floor(steps * 0.95)], max: frames.at(-1)};
}"""


async def test_200_conversations_with_5000_messages_stay_light(
    house: House, open_context: OpenContext
) -> None:
    """Only what is in view is drawn; how long frames take is told, not judged."""
    ada = await house.hire("Ada Byron")
    await house.full(ada, open_conversations=199, each=20)
    await house.full_one(ada, "long", 1020)
    context, _ = await open_context()
    desk = await DeskPage.open(context, "Ada")
    await expect(desk.page.get_by_role("heading", name="My conversations")).to_contain_text("200")
    nodes = "document.querySelectorAll('*').length"
    await desk.mine.locator("[data-row]").first.click()
    await expect(desk.field).to_be_visible()
    few = await desk.page.evaluate(nodes)

    await desk.page.evaluate("location.hash = '#/c/" + await house.conversation_of("long") + "'")
    await expect(desk.page.get_by_role("heading", name="A long story")).to_be_visible()
    for _ in range(12):
        await desk.transcript.evaluate("log => { log.scrollTop = 0 }")
        await _painted(desk.page)
        await desk.page.wait_for_load_state("networkidle")
    assert await desk.page.evaluate(nodes) < few + 800
    rows = await desk.transcript.locator("[data-key]").count()
    assert rows < 120, rows
    assert await desk.mine.get_by_role("listitem").count() < 40

    figures = {}
    for act in ("type", "read", "list"):
        figures[act] = await desk.page.evaluate(MEASURE, {"steps": 240, "act": act})
    print({act: {name: round(ms, 1) for name, ms in one.items()} for act, one in figures.items()})
