"""The way of a handoff: asked for, accepted, answered, resolved."""

from __future__ import annotations

import asyncio

from .office import Office, next_event, ordered, reduced


async def test_from_the_queue_to_the_assistant_again(office: Office) -> None:
    ada = await office.hire("Ada")
    customer = office.customer()
    start = await ada.state()
    socket = await ada.listen(start["event"])
    handoff = await customer.asks_for_a_person()
    event = await next_event(socket)
    assert event["type"] == "handoff"
    assert event["handoff"]["id"] == handoff["id"]
    assert event["handoff"]["position"] == 1

    accepted = await ada.accept(handoff["id"])
    assert accepted.status == 200
    assert accepted.body["state"] == "accepted"
    conversation = accepted.body["conversation"]
    said = await ada.post(f"conversations/{conversation}/messages", {"id": "m1", "text": "Hello, Ada here."})
    assert said.status == 201
    await customer.says("thank you")
    resolved = await ada.post(f"handoffs/{handoff['id']}/resolve", {"disposition": "solved", "note": "easy"})
    assert resolved.body["state"] == "resolved"
    await customer.says("one more thing")
    assert await customer.hears() == [
        "customer: customer_asked please",
        "assistant: echo customer_asked please",
        "system: None of my colleagues is free to answer at the moment. I've put you in the queue all the same. "
        "You are number 1. You can keep writing here; they will see it all, but I can't say when that will be.",
        "system: Ada has joined the conversation.",
        "agent: Hello, Ada here.",
        "customer: thank you",
        "system: Ada has closed this conversation. If you need anything else, just write again.",
        "customer: one more thing",
        "assistant: echo one more thing",
    ]
    await socket.close()


async def test_fifty_agents_accept_at_the_same_moment(office: Office) -> None:
    callers = [await office.hire(f"Agent{i:02}") for i in range(50)]
    handoff = await office.customer().asks_for_a_person()
    seen = await asyncio.gather(*(caller.accept(handoff["id"]) for caller in callers))
    winners = [c for c, s in zip(callers, seen, strict=True) if s.status == 200]
    losers = [s for s in seen if s.status == 409]
    assert len(winners) == 1
    assert len(losers) == 49
    assert winners[0].agent is not None
    assert {s.code for s in losers} == {"already_accepted"}
    assert {s.details["by"] for s in losers} == {winners[0].agent.name}
    again = await winners[0].accept(handoff["id"])
    assert again.status == 200


async def test_state_and_events_make_the_fresh_state(office: Office) -> None:
    ada, eve = await office.hire("Ada"), await office.hire("Eve", "supervisor")
    states = [await ada.state(), await eve.state()]
    first, second = office.customer(), office.customer()
    one, two = await first.asks_for_a_person(), await second.asks_for_a_person()
    await ada.put("me/presence", {"state": "available"})
    await ada.accept(one["id"])
    await first.says("hello?")
    await ada.post(f"handoffs/{one['id']}/transfer", {"note": "not mine"})
    await eve.accept(two["id"])
    await second.ends()
    await ada.accept(one["id"])
    for caller, state in zip((ada, eve), states, strict=True):
        assert caller.agent is not None
        fresh = await caller.state()
        socket = await caller.listen(state["event"])
        while state["event"] < fresh["event"]:
            reduced(state, await next_event(socket), caller.agent)
        await socket.close()
        state["handoffs"] = ordered(state["handoffs"])
        assert state == fresh
