"""The queue: places, who is told what, and every way out of it."""

from __future__ import annotations

import asyncio

import pytest

from conversations import lifecycle
from conversations.bus import thread_topic
from conversations.control import Control
from conversations.store import views
from handoff import reasons
from handoff.reasons import Reason

from .office import Customer, Office, handoff_of


async def places(office: Office, *customers: Customer) -> list[int | None]:
    found = []
    for customer in customers:
        thread = await customer.thread()
        found.append((await office.store.read(lambda tx, t=thread: views.thread_view(tx, t, 0))).position)  # type: ignore[misc]
    return found


async def test_first_in_first_out_and_places_move_up(office: Office) -> None:
    ada = await office.hire("Ada")
    customers = [office.customer() for _ in range(4)]
    handoffs = [await customer.asks_for_a_person() for customer in customers]
    assert await places(office, *customers) == [1, 2, 3, 4]
    assert "You are number 3." in (await customers[2].hears())[-1]
    waiting = [office.store.bus.subscribe(thread_topic(h["thread_id"])) for h in handoffs]
    await ada.accept(handoffs[1]["id"])
    assert await places(office, *customers) == [1, None, 2, 3]
    for behind in waiting[1:]:
        async with asyncio.timeout(20):
            await behind.wait(20)
            assert not behind._woken.is_set()  # type: ignore[attr-defined]
    assert not waiting[0]._woken.is_set()  # type: ignore[attr-defined]
    await customers[0].ends()
    assert await places(office, customers[2], customers[3]) == [1, 2]
    state = await ada.state()
    assert [h.get("position") for h in state["handoffs"]] == [1, 2, None] or [
        h.get("position") for h in state["handoffs"]
    ] == [None, 1, 2]
    assert state["queues"][0]["waiting"] == 2
    for subscription in waiting:
        subscription.close()


async def test_who_was_passed_on_does_not_wait_behind_newcomers(office: Office) -> None:
    ada, sue = await office.hire("Ada", queues=("general", "billing")), await office.hire("Sue", "supervisor")
    first, second = office.customer(), office.customer()
    one, two = await first.asks_for_a_person(), await second.asks_for_a_person()
    await ada.accept(one["id"])
    moved = await ada.post(f"handoffs/{one['id']}/transfer", {"note": "knows bills better"})
    assert (moved.body["state"], moved.body["queue"]) == ("queued", "general")
    assert await places(office, first, second) == [1, 2]
    assert "Ada is passing you on to another colleague." in (await first.hears())[-1]
    history = (await ada.get(f"conversations/{one['conversation_id']}/messages")).body
    assert [n["content"]["text"] for n in history["notes"]] == ["knows bills better"]
    other = await sue.post(f"handoffs/{one['id']}/transfer")
    assert other.code == "not_open"
    await ada.accept(one["id"])
    moved = await ada.post(f"handoffs/{one['id']}/transfer", {"queue": "billing"})
    assert moved.body["queue"] == "billing"
    assert await places(office, first, second) == [1, 1]
    assert (await ada.accept(one["id"])).status == 200
    assert (await ada.accept(two["id"])).status == 200


async def test_declining_is_noted_and_leaves_it_waiting(office: Office) -> None:
    ada, bob = await office.hire("Ada"), await office.hire("Bob")
    handoff = await office.customer().asks_for_a_person()
    path = f"handoffs/{handoff['id']}/decline"
    seen = await asyncio.gather(ada.post(path, {"reason": "lunch"}), ada.post(path))
    assert [s.body["declined_by"] for s in seen] == [[ada.agent.id]] * 2  # type: ignore[union-attr]
    row = await handoff_of(office.store, handoff["conversation_id"])
    assert row["state"] == "queued"
    assert len(row["declined"]) == 1
    assert (await ada.accept(handoff["id"])).status == 200
    assert (await bob.post(path)).code == "already_accepted"


async def test_abandoned_while_waiting(office: Office) -> None:
    ada = await office.hire("Ada")
    left, cancelled = office.customer(), office.customer()
    one, two = await left.asks_for_a_person(), await cancelled.asks_for_a_person()
    await left.ends()
    thread = await cancelled.thread()
    await office.store.write(lambda tx: office.lifecycle.cancel_queue(tx, thread))
    for handoff in (one, two):
        assert (await handoff_of(office.store, handoff["conversation_id"]))["state"] == "abandoned"
        assert (await ada.accept(handoff["id"])).code == "not_open"
    assert (await ada.state())["handoffs"] == []
    await cancelled.says("so then")
    assert (await cancelled.hears())[-1] == "assistant: echo so then"


async def test_the_customer_ends_while_an_agent_has_them(office: Office) -> None:
    ada = await office.hire("Ada")
    customer = office.customer()
    handoff = await customer.asks_for_a_person()
    await ada.accept(handoff["id"])
    await customer.ends()
    row = await handoff_of(office.store, handoff["conversation_id"])
    assert (row["state"], row["accepted_by"]) == ("abandoned", ada.agent.id)  # type: ignore[union-attr]
    state = await ada.state()
    assert state["conversations"] == state["handoffs"] == []
    for verb in ("transfer", "return"):
        assert (await ada.post(f"handoffs/{handoff['id']}/{verb}")).code == "not_open"


async def test_returned_to_the_assistant_who_answers_what_waits(office: Office) -> None:
    ada = await office.hire("Ada")
    customer = office.customer()
    handoff = await customer.asks_for_a_person()
    await ada.accept(handoff["id"])
    messages = f"conversations/{handoff['conversation_id']}/messages"
    await ada.post(messages, {"id": "1", "text": "The assistant can do that."})
    await customer.says("where is my order")
    seen = await ada.post(f"handoffs/{handoff['id']}/return", {"note": "order status"})
    assert seen.body["state"] == "returned"
    assert (await ada.post(f"handoffs/{handoff['id']}/return")).status == 200
    await office.worker.run_due()
    assert (await customer.hears())[-2:] == [
        "system: Ada has left the conversation. The assistant is back and goes on from here.",
        "assistant: echo where is my order",
    ]
    second = await customer.asks_for_a_person()
    assert (second["attempt"], second["context"]["handoff"]["attempt"]) == (2, 2)
    assert (await ada.accept(handoff["id"])).code == "not_open"


@pytest.mark.parametrize("control", ["assistant", "queue", "agent"])
async def test_a_supervisor_takes_over(office: Office, control: str) -> None:
    ada, eve = await office.hire("Ada"), await office.hire("Eve", "supervisor", queues=())
    customer = office.customer()
    accepted = await customer.says("hello")
    if control != "assistant":
        handoff = await customer.asks_for_a_person()
    if control == "agent":
        await ada.accept(handoff["id"])
    path = f"conversations/{accepted.conversation}/takeover"
    seen = await asyncio.gather(*(eve.post(path) for _ in range(3)))
    assert {s.status for s in seen} == {200}
    conversation = await customer.conversation()
    assert (conversation.control, conversation.agent_id) == (Control.AGENT, eve.agent.id)  # type: ignore[union-attr]
    assert (await ada.state())["conversations"] == []
    said = await ada.post(f"conversations/{conversation.id}/messages", {"id": "1", "text": "hm"})
    assert said.code == "not_yours"
    await customer.ends()
    assert (await eve.post(path)).code == "not_open"


async def test_an_old_acceptance_is_fenced_by_the_epoch(office: Office) -> None:
    """The conversation moved on although the handoff's row still waits: nobody gets it by that row."""
    ada = await office.hire("Ada")
    customer = office.customer()
    handoff = await customer.asks_for_a_person()
    thread = await customer.thread()

    def close_behind_its_back(tx: object) -> None:
        from conversations.store import Transaction, conversations, threads

        assert isinstance(tx, Transaction)
        threads.lock(tx, thread)
        found = conversations.open_in(tx, thread)
        assert found is not None
        lifecycle.close(tx, found, "test")

    await office.store.write(close_behind_its_back)
    assert (await ada.accept(handoff["id"])).code == "not_open"


async def test_the_customer_is_told_whether_anybody_is_there(office: Office) -> None:
    ada = await office.hire("Ada")
    sten = await office.hire("Sten", queues=("billing",))
    adam = await office.hire("Adam", "admin")
    nobody = "None of my colleagues is free to answer at the moment."
    await sten.put("me/presence", {"state": "available"})
    await adam.put("me/presence", {"state": "available"})
    customer = office.customer()
    await customer.asks_for_a_person()
    assert nobody in (await customer.hears())[-1]
    await ada.put("me/presence", {"state": "available"})
    customer = office.customer()
    await customer.asks_for_a_person()
    assert (await customer.hears())[-1] == (
        "system: I've put you in the queue for a colleague. You are number 2. "
        "You can keep writing here; they will see it all."
    )
    await ada.post("logout")
    customer = office.customer()
    await customer.asks_for_a_person()
    assert nobody in (await customer.hears())[-1]


@pytest.mark.parametrize("reason", Reason)
def test_words_for_every_reason(reason: Reason) -> None:
    alone = reasons.queued(reason, 2, staffed=True, alone=True)
    announced = reasons.queued(reason, 2, staffed=True, alone=False)
    apologises = reason in (Reason.ASSISTANT_UNAVAILABLE, Reason.LOOKUP_FAILED, Reason.UNSUPPORTED_CONTENT)
    assert alone.startswith("I'm sorry") == apologises
    assert not announced.startswith("I'm sorry")
    assert reason in reasons.FOR_AGENTS
    if reason is not Reason.AGENT_TAKEOVER:
        assert "You are number 2." in alone
        assert "None of my colleagues" in reasons.queued(reason, None, staffed=False, alone=True)
