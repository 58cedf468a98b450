"""Agents' messages and notes: once, in order, and only where they may."""

from __future__ import annotations

import asyncio

from conversations.bus import thread_topic

from .office import Office, next_event


async def test_the_same_id_again_is_the_same_message(office: Office) -> None:
    ada, bob = await office.hire("Ada"), await office.hire("Bob")
    handoff = await office.customer().asks_for_a_person()
    await ada.accept(handoff["id"])
    path = f"conversations/{handoff['conversation_id']}/messages"
    body = {"id": "one", "text": "Hello"}
    seen = await asyncio.gather(*(ada.post(path, body) for _ in range(8)))
    assert sorted(s.status for s in seen) == [200] * 7 + [201]
    assert len({s.body["message"]["id"] for s in seen}) == 1
    assert (await ada.post(path, {"id": "one", "text": "Other"})).code == "id_reused"
    assert (await ada.post(path.replace("messages", "notes"), body)).code == "id_reused"
    await ada.post(f"handoffs/{handoff['id']}/transfer")
    assert (await ada.post(path, body)).status == 200
    await bob.accept(handoff["id"])
    assert (await bob.post(path, body)).code == "id_reused"
    assert (await ada.post(path, {"id": "two", "text": "Still me"})).code == "not_yours"
    assert (await bob.post(path, {"id": "two", "text": "Bob here"})).status == 201
    assert (await bob.post(f"handoffs/{handoff['id']}/resolve", {"disposition": "done"})).status == 200
    assert (await bob.post(path, {"id": "three", "text": "Late"})).code == "not_open"
    assert (await bob.post(path, {"id": "two", "text": "Bob here"})).status == 200


async def test_stale_when_somebody_else_wrote(office: Office) -> None:
    ada = await office.hire("Ada")
    customer = office.customer()
    handoff = await customer.asks_for_a_person()
    await ada.accept(handoff["id"])
    path = f"conversations/{handoff['conversation_id']}/messages"
    seq = (await ada.get(path)).body["messages"][-1]["seq"]
    assert (await ada.post(path, {"id": "1", "text": "a", "after_seq": seq})).status == 201
    assert (await ada.post(path, {"id": "2", "text": "b", "after_seq": seq})).status == 201
    wrote = await customer.says("wait")
    stale = await ada.post(path, {"id": "3", "text": "c", "after_seq": seq})
    assert stale.code == "stale"
    assert stale.details == {"last_seq": wrote.seq}
    resolve = f"handoffs/{handoff['id']}/resolve"
    assert (await ada.post(resolve, {"disposition": "done", "after_seq": seq})).code == "stale"
    assert (await ada.post(path, {"id": "3", "text": "c", "after_seq": wrote.seq})).status == 201
    body = {"disposition": "done", "after_seq": wrote.seq}
    assert (await ada.post(resolve, body)).status == 200
    assert (await ada.post(resolve, body)).status == 200


async def test_notes_are_never_seen_by_the_customer(office: Office) -> None:
    ada = await office.hire("Ada")
    customer = office.customer()
    handoff = await customer.asks_for_a_person()
    path = f"conversations/{handoff['conversation_id']}"
    note = await ada.post(f"{path}/notes", {"id": "n", "text": "careful"})
    assert note.status == 201
    assert note.body["message"]["seq"] is None
    assert (await ada.post(f"{path}/notes", {"id": "n", "text": "careful"})).status == 200
    assert (await ada.post(f"{path}/notes", {"id": "n", "text": "other"})).code == "id_reused"
    history = (await ada.get(f"{path}/messages")).body
    assert [n["content"]["text"] for n in history["notes"]] == ["careful"]
    assert not any("careful" in line for line in await customer.hears())


async def test_history_by_pages(office: Office) -> None:
    ada = await office.hire("Ada")
    customer = office.customer()
    await customer.says("first episode")
    await customer.ends()
    for i in range(5):
        await customer.says(f"message {i}")
    handoff = await customer.asks_for_a_person()
    path = f"conversations/{handoff['conversation_id']}/messages"
    seqs: list[int] = []
    before: dict[str, str] = {}
    more = True
    while more:
        page = (await ada.get(path, params={"limit": "4"} | before)).body
        seqs = [m["seq"] for m in page["messages"]] + seqs
        more, before = page["more"], {"before": str(page["messages"][0]["seq"])}
    conversation = await customer.conversation()
    assert seqs == list(range(conversation.first_seq, conversation.last_seq + 1))
    assert (await ada.get(path, params={"before": "1"})).body["messages"] == []


async def test_typing_goes_both_ways(office: Office) -> None:
    ada, bob = await office.hire("Ada"), await office.hire("Bob")
    customer = office.customer()
    handoff = await customer.asks_for_a_person()
    topic = thread_topic(handoff["thread_id"])
    early = await ada.listen()
    await ada.accept(handoff["id"])
    while (await next_event(early))["type"] != "conversation":
        pass
    late, other = await ada.listen(), await bob.listen()
    by_customer = {"type": "typing", "author": {"kind": "customer"}}
    office.store.bus.publish(topic, {"type": "typing", "author": {"kind": "agent", "name": "Ada"}})
    office.store.bus.publish(topic, by_customer)
    for socket in (early, late):
        assert await next_event(socket) == by_customer | {"conversation": handoff["conversation_id"]}
    heard = office.store.bus.subscribe(topic)
    assert (await ada.post(f"conversations/{handoff['conversation_id']}/typing")).status == 200
    notes = await heard.wait(20)
    assert list(notes) == [{"type": "typing", "author": {"kind": "agent", "name": "Ada"}}]
    heard.close()
    await ada.put("me/presence", {"state": "busy"})
    assert (await next_event(other))["type"] == "presence"
