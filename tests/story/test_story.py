"""The story of the front door, with real Rasa, over HTTP and WebSocket, by programs that know only the protocols."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.story import clients
from tests.story.accounts import an_order_on_its_way
from tests.story.clients import Customer
from tests.story.installation import Installation

Start = Callable[..., Awaitable[Installation]]

pytestmark = pytest.mark.timeout(400)


async def test_from_where_is_my_order_to_an_agent_and_back(start: Start, database_url: str) -> None:
    installation = await start(FOYER_DATABASE_URL=database_url)
    order = an_order_on_its_way(installation.accounts)
    async with (
        clients.customer(installation.url, installation.app_key) as customer,
        clients.agent(installation.url, **installation.demo_agent) as agent,
    ):
        await _proves_who_they_are(customer, order)
        asked = await customer.says("I want to talk to a human please")
        event = await agent.sees("handoff", lambda e: e["handoff"]["state"] == "queued")
        await customer.sees("control", control="queue")
        await customer.sees("queue", position=1)
        handoff = event["handoff"]
        assert handoff["reason"] == "customer_asked"
        await _the_context_is_whole(agent, handoff, order)

        accepted = await agent.post(f"handoffs/{handoff['id']}/accept")
        assert accepted["state"] == "accepted"
        await customer.sees("control", control="agent", name=agent.me["name"])

        body = {"id": "a-1", "text": "Hello, this is Ada. It is out with the courier."}
        sent = await agent.post(f"conversations/{handoff['conversation']}/messages", body)
        await customer.hears("out with the courier", author="agent")
        again = await agent.post(f"conversations/{handoff['conversation']}/messages", body)
        assert again["message"]["id"] == sent["message"]["id"]

        thanks = await customer.says("thank you Ada")
        await agent.sees("message", lambda e: e["message"]["seq"] == thanks)
        await agent.post(
            f"handoffs/{handoff['id']}/resolve", {"disposition": "answered", "after_seq": thanks}
        )
        await customer.sees("control", control="closed")

        hello = await customer.says("hello again")
        reply = await customer.hears(after=hello, author="assistant")
        assert reply["seq"] > asked
        await customer.sees("conversation", after_seq=hello - 1)
        assert customer.repeated == 0
        assert sorted(customer.messages) == list(range(1, len(customer.messages) + 1))


async def _gives_the_number(customer: Customer, order: dict[str, Any]) -> None:
    asked = await customer.says("Hi, where is my order?")
    await customer.hears("order number", after=asked, author="assistant")
    assert not any(order["name"] in m["content"]["text"] for m in customer.messages.values())
    number = await customer.says(order["number"])
    await customer.hears("postcode", after=number, author="assistant")


async def _proves_who_they_are(customer: Customer, order: dict[str, Any]) -> None:
    await _gives_the_number(customer, order)
    proof = await customer.says(order["email"])
    told = await customer.hears(order["number"], after=proof, author="assistant")
    assert order["carrier"].lower() in told["content"]["text"].lower()


async def _the_context_is_whole(agent: clients.Agent, handoff: dict[str, Any], order: dict[str, Any]) -> None:
    context = await agent.get(f"handoffs/{handoff['id']}")
    page = await agent.get(f"conversations/{handoff['conversation']}/messages?limit=200")
    transcript = context["transcript"]
    snapshot = [m for m in page["messages"] if m["seq"] and m["seq"] <= transcript["last_seq"]]
    assert transcript["complete"] is True
    assert transcript["count"] == len(snapshot) == len(transcript["messages"])
    assert [m["seq"] for m in snapshot] == [m["seq"] for m in transcript["messages"]]
    assert context["trigger"]["type"] == "customer_asked"
    assert context["customer"]["name"] == order["name"]
    assert context["customer"]["verification"]["level"] == "order"
    assert any(x["ok"] and x["action"] == "action_order_status" for x in context["lookups"])
    assert context["understanding"][0]["intents"][0]["name"] == "order_status"


async def test_the_assistant_is_absent_at_the_start_and_the_customer_is_not_left_in_silence(
    start: Start,
) -> None:
    """An address where nobody listens stands for Rasa; people are called in, and that is said."""
    installation = await start(
        FOYER_ASSISTANT_URL="http://127.0.0.1:9",
        FOYER_ASSISTANT_PATIENCE="2",
        FOYER_ACTIONS_URL="http://127.0.0.1:9/webhook",
    )
    async with clients.customer(installation.url, installation.app_key) as customer:
        await customer.says("hello?")
        await customer.sees("control", control="queue")
        await customer.hears("sorry", author="system")


async def test_rasa_and_the_actions_go_in_mid_conversation_and_every_message_has_an_outcome(
    start: Start,
) -> None:
    installation = await start(FOYER_ASSISTANT_PATIENCE="40")
    order = an_order_on_its_way(installation.accounts)
    async with clients.customer(installation.url, installation.app_key) as customer:
        await _proves_who_they_are(customer, order)
        assert installation.kill("actions")
        bill = await customer.says("what do I owe on my bill?")
        await customer.hears(after=bill)
        assert installation.kill("assistant")
        hello = await customer.says("are you a bot?")
        await customer.hears(after=hello)


async def test_the_account_database_is_locked_and_the_customer_hears_so(start: Start) -> None:
    installation = await start()
    order = an_order_on_its_way(installation.accounts)
    blocker = sqlite3.connect(installation.accounts, isolation_level=None)
    async with (
        clients.customer(installation.url, installation.app_key) as customer,
        clients.agent(installation.url, **installation.demo_agent) as agent,
    ):
        await _gives_the_number(customer, order)
        blocker.execute("BEGIN EXCLUSIVE")
        try:
            proof = await customer.says(order["email"])
            await customer.hears(after=proof)
            event = await agent.sees("handoff", lambda e: e["handoff"]["state"] == "queued")
        finally:
            blocker.execute("ROLLBACK")
            blocker.close()
        assert event["handoff"]["reason"] == "lookup_failed"
        context = await agent.get(f"handoffs/{event['handoff']['id']}")
        assert any(not lookup["ok"] for lookup in context["lookups"])
        assert order["email"] not in str(context["lookups"])


async def test_a_second_up_on_the_same_home_is_refused_by_name(start: Start) -> None:
    installation = await start(FOYER_ASSISTANT_URL="http://127.0.0.1:9")
    assert installation.process is not None
    second = Installation(installation.home, installation.port, installation.settings)
    await second.start()
    assert second.process is not None
    assert await second.process.wait() == 1
    told = (installation.home / "up.log").read_text()
    assert str(installation.process.pid) in told
    assert str(installation.home) in told
    assert await installation.alive()
