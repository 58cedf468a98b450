"""What an agent is given: complete, checked against the store, and never changed afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from conversations.errors import LookupUnavailable
from conversations.messages import Text
from conversations.ports import HandoffRequest, TurnRequest, TurnResult
from conversations.store import Transaction, conversations
from conversations.store.tables import messages as messages_table
from conversations.turns import TurnWorker
from handoff.context import Context
from handoff.gather import Case, ContextIncomplete, gather
from handoff.reasons import Reason

from .contract import validator
from .office import Office, ScriptedAssistant, answer, handoff_of


async def test_the_context_holds_what_is_known(office: Office) -> None:
    eve = await office.hire("Eve", "supervisor")
    customer = office.customer()
    await customer.says("where is my order FY-104233")
    await customer.ends()
    await customer.says("where is it now")
    handoff = await customer.asks_for_a_person()
    context = (await eve.get(f"handoffs/{handoff['id']}")).body
    validator("ContextNow").validate(context)
    assert context["handoff"] == {
        "schema_version": 1,
        "id": handoff["id"],
        "conversation_id": handoff["conversation_id"],
        "epoch": 2,
        "created_at": context["routing"]["enqueued_at"],
        "attempt": 1,
    }
    own = context["transcript"]["messages"]
    assert [(m["seq"], m["author"]["kind"], m["content"]["text"]) for m in own] == [
        (3, "customer", "where is it now"),
        (4, "assistant", "echo where is it now"),
        (5, "customer", "customer_asked please"),
        (6, "assistant", "echo customer_asked please"),
    ]
    assert context["trigger"]["type"] == "customer_asked"
    assert context["trigger"]["message_id"] == own[2]["id"]
    assert context["trigger"]["failed_turns"] == 0
    assert context["understanding"][0]["intents"][0] == {"name": "order_status", "confidence": 0.9}
    assert context["understanding"][0]["entities"][0]["message_id"] == own[0]["id"]
    assert {u["model_id"] for u in context["understanding"]} == {"model-1"}
    slots = {s["name"]: s for s in context["dialogue"]["slots"]}
    assert slots["order_number"] == {
        "name": "order_number",
        "label": "Order number",
        "value": "FY-104233",
        "source_message_id": own[2]["id"],
        "sensitive": False,
    }
    assert slots["proof"]["sensitive"]
    assert (context["dialogue"]["active_form"], context["dialogue"]["requested_slot"]) == (
        "order_form",
        "proof",
    )
    assert [x["result"] for x in context["lookups"]] == [{"status": "shipped"}] * 2
    assert context["attempted"][0] == {"what": "action_order_status", "outcome": "done"}
    previous = context["customer"]["previous_conversations"]
    assert [(p["topic"], p["outcome"]) for p in previous] == [("order_status", "customer_left")]
    assert context["customer"]["verification"]["level"] == "none"
    assert context["later"] == {"last_seq": 7, "lookups": [], "effects": []}
    assert context["summary"]["text"] == handoff["summary"]
    for part in (
        "asked for a person",
        "Wants: order status",
        "not verified",
        "Order number: FY-104233",
        "shipped",
    ):
        assert part in handoff["summary"]
    assert "a@b.example" not in handoff["summary"]


async def test_the_transcript_is_the_stores(office: Office) -> None:
    eve = await office.hire("Eve", "supervisor")
    customer = office.customer()
    for i in range(105):
        await customer.says(f"message {i}")
    handoff = await customer.asks_for_a_person()
    transcript = (await eve.get(f"handoffs/{handoff['id']}")).body["transcript"]
    assert (transcript["first_seq"], transcript["last_seq"], transcript["count"]) == (1, 212, 212)
    assert [m["seq"] for m in transcript["messages"]] == list(range(13, 213))
    assert not transcript["complete"]
    older = (await eve.get(transcript["older_url"] + "&limit=200")).body
    assert [m["seq"] for m in older["messages"]] == list(range(1, 13))
    assert not older["more"]


async def test_a_context_that_misses_a_message_is_an_error(office: Office) -> None:
    customer = office.customer()
    await customer.says("one")
    await customer.says("two")
    conversation = (await customer.conversation()).id
    case = Case("h", 1, Reason.CUSTOMER_ASKED, "general", 0, HandoffRequest("customer_asked"))

    def lose(tx: Transaction) -> None:
        gone = messages_table.c.thread_id == (conversations.find(tx, conversation).thread_id)
        tx.conn.execute(sa.delete(messages_table).where(gone, messages_table.c.seq == 2))

    def make(tx: Transaction, strict: bool) -> Context:
        return gather(tx, conversations.find(tx, conversation), case, strict)

    whole = await office.store.read(lambda tx: make(tx, strict=True))
    assert whole.transcript.complete
    await office.store.write(lose)
    with pytest.raises(ContextIncomplete):
        await office.store.read(lambda tx: make(tx, strict=True))
    marked = await office.store.read(lambda tx: make(tx, strict=False))
    assert not marked.transcript.complete
    assert marked.transcript.count == 3


async def test_what_an_outdated_turn_found_is_shown_later(office: Office) -> None:
    """A turn is under way when a supervisor takes over: nothing of it is said, all that it found is shown."""
    eve = await office.hire("Eve", "supervisor")
    customer = office.customer()
    await customer.says("hello")
    release, asked = asyncio.Event(), asyncio.Event()

    class Slow:
        async def turn(self, request: TurnRequest) -> TurnResult:
            asked.set()
            await release.wait()
            found = answer(request)
            return TurnResult(
                found.replies, lookups=found.lookups, effects=({"kind": "refund", "amount": 5},)
            )

    worker = TurnWorker(office.store, Slow(), office.lifecycle)
    await customer.writes("where is my order")
    running = asyncio.create_task(worker.run_due())
    await asked.wait()
    conversation = (await customer.conversation()).id
    taken = await eve.post(f"conversations/{conversation}/takeover")
    assert taken.body["state"] == "accepted"
    assert taken.body["reason"] == "agent_takeover"
    release.set()
    await running
    context = (await eve.get(f"handoffs/{taken.body['id']}")).body
    assert [x["action"] for x in context["later"]["lookups"]] == ["action_order_status"]
    assert context["later"]["effects"] == [{"kind": "refund", "amount": 5}]
    assert context["lookups"][0]["ok"]
    assert len(context["lookups"]) == 1
    assert (await customer.hears())[-3:] == [
        "customer: where is my order",
        "system: A colleague is joining this conversation.",
        "system: Eve has joined the conversation.",
    ]


async def test_the_context_never_changes(office: Office) -> None:
    eve = await office.hire("Eve", "supervisor")
    customer = office.customer()
    handoff = await customer.asks_for_a_person()
    before = (await eve.get(f"handoffs/{handoff['id']}")).body
    await eve.accept(handoff["id"])
    await customer.says("more words")
    await eve.post(f"handoffs/{handoff['id']}/resolve", {"disposition": "done"})
    after = (await eve.get(f"handoffs/{handoff['id']}")).body
    assert after.pop("later")["last_seq"] == before.pop("later")["last_seq"] + 3
    assert after == before


async def test_a_failed_look_up_is_told_with_its_words(office: Office) -> None:
    failed = {
        "action": "action_bill",
        "asked": {"customer": "1"},
        "ok": False,
        "error": "timeout",
        "seconds": 2.0,
    }

    def broken(request: TurnRequest) -> TurnResult:
        raise LookupUnavailable("gone", (failed,), ())

    office.assistant = ScriptedAssistant(broken)
    office.worker = TurnWorker(office.store, office.assistant, office.lifecycle)
    clock: Any = office.store._clock  # type: ignore[attr-defined]
    customer = office.customer()
    accepted = await customer.says("my bill")
    clock.advance(30)
    await office.worker.run_due()
    handoff = await handoff_of(office.store, accepted.conversation)
    context = handoff["context"]
    assert handoff["reason"] == "lookup_failed"
    assert context["trigger"]["rule"] == "lookup_failed"
    assert context["trigger"]["failed_turns"] == 1
    assert [(x["action"], x["ok"], x["error"]) for x in context["lookups"]] == [
        ("action_bill", False, "timeout")
    ]
    assert context["attempted"] == [{"what": "answer of the assistant", "outcome": "lookup_failed"}]
    assert context["understanding"][0]["intents"] == []
    assert (await customer.hears())[-1].startswith(
        "system: I'm sorry, I can't reach the information I need right now."
    )


async def test_an_answer_of_another_shape_does_not_keep_people_away(office: Office) -> None:
    strange: Any = [{"name": 5}, None, "x", {"intents": "?"}]

    def odd(request: TurnRequest) -> TurnResult:
        return TurnResult(
            replies=(Text("?"),),
            model="m",
            understanding={"intents": strange, "entities": strange},
            slots={"a": {"b": [1]}, "c": None},
            form={"name": 5},
            actions=({"ok": 1}, {"name": 3}),
            lookups=({"action": 1, "result": {"name\ud800": "a\x00\udfff"}}, {"seconds": "x"}),
            effects=({"kind": "set_verification", "level": "none", "failed": True},),
            handoff=HandoffRequest("no such reason \x00", "no such queue", "a note\ud800"),
        )

    office.assistant.answer = odd
    customer = office.customer()
    accepted = await customer.says("hello")
    handoff = await handoff_of(office.store, accepted.conversation)
    validator("Context").validate(handoff["context"])
    assert (handoff["reason"], handoff["queue"]) == ("not_understood", "general")
    assert handoff["context"]["trigger"]["rule"] == "unknown reason: no such reason "
    assert handoff["context"]["trigger"]["note"] == "a note\ufffd"
    assert handoff["context"]["customer"]["verification"]["failed_attempts"] == 1


async def test_addresses_are_masked_for_agents(small_office: Office) -> None:
    """A telephone number is for supervisors; an agent sees its end."""
    from conversations.messages import Sender

    from .office import Customer

    ada, eve = await small_office.hire("Ada"), await small_office.hire("Eve", "supervisor")
    customer = Customer(small_office, Sender("main", "sms", "+447700900123", "twilio"))
    handoff = await customer.asks_for_a_person()
    path = f"handoffs/{handoff['id']}"
    seen, all_of_it = (await ada.get(path)).body, (await eve.get(path)).body
    assert seen["channel"]["address"] == "•" * 10 + "123"
    assert seen["customer"]["identities"][0]["address"] == "•" * 10 + "123"
    assert seen["privacy"]["masked_fields"] == ["channel.address", "customer.identities.address"]
    assert all_of_it["channel"]["address"] == "+447700900123"
    assert all_of_it["privacy"]["masked_fields"] == []
