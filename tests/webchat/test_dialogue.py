"""What a customer lives through, over both databases."""

from __future__ import annotations

from .world import House


async def test_a_message_is_acknowledged_and_answered(any_house: House) -> None:
    customer = await any_house.customer()
    assert customer.welcome == {
        "type": "welcome",
        "thread": customer.thread,
        "conversation": None,
        "control": "closed",
        "last_seq": 0,
    }
    await customer.says("hi")
    mine = await customer.hears("hi")
    assert (mine["seq"], mine["author"]) == (1, {"kind": "customer"})
    await any_house.works()
    answer = await customer.hears("echo hi")
    assert (answer["seq"], answer["author"]) == (2, {"kind": "assistant"})
    assert any_house.accepted == ["webchat"]


async def test_a_handoff_is_seen_step_by_step(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.says("a human please")
    began = await customer.expects("conversation")
    assert began["after_seq"] == 0
    await customer.expects("control", control="assistant")
    await any_house.works()
    await customer.hears("queued: customer_asked")
    await customer.expects("control", control="queue")
    assert await customer.expects("queue") == {"type": "queue", "position": 1, "wait": None}

    await any_house.accepts(customer)
    await customer.hears("Ada has joined the conversation.")
    assert await customer.expects("control") == {"type": "control", "control": "agent", "name": "Ada"}
    await any_house.agent_says(customer, "I can help")
    said = await customer.hears("I can help")
    assert said["author"] == {"kind": "agent", "name": "Ada"}

    await any_house.resolves(customer)
    assert await customer.expects("control") == {"type": "control", "control": "closed", "reason": "resolved"}
    await customer.says("one more thing")
    again = await customer.expects("conversation")
    assert again["conversation"] != began["conversation"]
    await any_house.works()
    await customer.hears("echo one more thing")
