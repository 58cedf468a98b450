"""What a customer lives through, over both databases."""

from __future__ import annotations

from conversations import bus as topics
from conversations.lifecycle import Lifecycle
from conversations.messages import Choice, Text
from conversations.ports import TurnRequest, TurnResult
from tests.conftest import MovableClock
from tests.conversations.world import WaitingRoom
from tests.webchat.world import House


async def test_a_message_is_acknowledged_heard_and_answered(any_house: House) -> None:
    customer = await any_house.customer()
    assert customer.welcome == {
        "type": "welcome",
        "thread": customer.thread,
        "conversation": None,
        "control": "closed",
        "last_seq": 0,
    }
    identifier = await customer.says("hi")
    mine = await customer.hears("hi")
    assert (mine["seq"], mine["id"], mine["author"]) == (1, identifier, {"kind": "customer"})
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

    await any_house.resolves(customer, "sold a contract he did not want")
    assert await customer.expects("control") == {"type": "control", "control": "closed", "reason": "resolved"}
    await customer.says("one more thing")
    again = await customer.expects("conversation")
    assert again["conversation"] != began["conversation"]
    await any_house.works()
    await customer.hears("echo one more thing")


async def test_an_agent_gives_the_conversation_back(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.says("human")
    await any_house.works()
    await any_house.accepts(customer)
    await any_house.agent_says(customer, "ask the assistant")
    await any_house.returns(customer)
    await customer.hears("The assistant is back.")
    await customer.expects("control", control="agent")
    await customer.expects("control", control="assistant")
    await customer.says("thanks")
    await any_house.works()
    await customer.hears("echo thanks")


async def test_who_stops_waiting_gets_the_assistant_back(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.says("human")
    await any_house.works()
    await customer.expects("control", control="queue")
    await customer.sends(type="cancel_queue")
    await customer.expects("control", control="assistant")
    await customer.says("well then")
    await any_house.works()
    await customer.hears("echo well then")


async def test_who_waits_for_nobody_is_told_how_it_stands(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.sends(type="cancel_queue")
    assert await customer.expects("control") == {"type": "control", "control": "closed"}
    await customer.sends(type="end")
    assert await customer.expects("control") == {"type": "control", "control": "closed"}


async def test_the_customer_ends_and_begins_again(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.says("hi")
    first = await customer.expects("conversation")
    await customer.sends(type="end")
    closed = await customer.expects("control", control="closed")
    assert closed["reason"] == "customer_left"
    await customer.says("hello again")
    second = await customer.expects("conversation")
    assert second["after_seq"] == 1
    assert second["conversation"] != first["conversation"]


async def test_silence_ends_the_conversation_under_the_customers_eyes(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.says("hi")
    await any_house.works()
    conversation = (await customer.expects("conversation"))["conversation"]
    life = Lifecycle(WaitingRoom())
    await any_house.store.write(lambda tx: life.end_by_silence(tx, conversation, 0))
    assert (await customer.expects("control", control="closed"))["reason"] == "silence"


def offers(request: TurnRequest) -> TurnResult:
    text = f"took {request.choice}" if request.choice else "which one?"
    return TurnResult(replies=(Text(text, (Choice("The blue one", "/inform{colour}"),)),), model="m")


async def test_a_choice_that_was_offered_is_taken(any_house: House) -> None:
    any_house.assistant.answer = offers
    customer = await any_house.customer()
    await customer.says("buy")
    await any_house.works()
    asked = await customer.hears("which one?")
    assert asked["content"]["choices"] == [{"title": "The blue one", "payload": "/inform{colour}"}]
    await customer.sends(type="choice", id="c1", seq=asked["seq"], payload="/inform{colour}")
    await customer.expects("ack", id="c1")
    await customer.hears("The blue one")
    await any_house.works()
    await customer.hears("took /inform{colour}")


async def test_a_choice_that_nobody_offered_is_refused(any_house: House) -> None:
    any_house.assistant.answer = offers
    customer = await any_house.customer()
    await customer.says("buy")
    await any_house.works()
    asked = await customer.hears("which one?")
    for seq, payload in (
        (asked["seq"], "/restart"),
        (asked["seq"] - 1, "/inform{colour}"),
        (99, "/x"),
        (1, "\0"),
    ):
        await customer.sends(type="choice", id=f"c{seq}", seq=seq, payload=payload)
        error = await customer.expects("error")
        assert (error["code"], error["then"], error["id"]) == ("not_offered", "drop", f"c{seq}")


async def test_typed_commands_are_words(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.says("/restart")
    await customer.hears("/restart")
    await any_house.works()
    assert any_house.assistant.asked[0].choice is None


async def test_nothing_is_lost_or_doubled_over_a_reconnection(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.says("one")
    await customer.hears("one")
    unheard = await customer.writes("two", "id-two")
    await customer.hangs_up()
    await any_house.sockets.becomes(0)
    await any_house.works()

    welcome = await customer.connects()
    await customer.says("two", unheard)
    await any_house.works()
    await customer.hears("echo two")
    status, page = await any_house.get("/chat/messages", customer.token)
    assert status == 200
    texts = [m["content"]["text"] for m in page["messages"]]
    assert sorted(texts) == ["echo one", "echo two", "one", "two"]
    assert [m["seq"] for m in page["messages"]] == [1, 2, 3, 4]
    assert "truncated" not in welcome


async def test_the_same_id_gives_the_same_ack_and_other_content_is_refused(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.sends(type="message", id="a", text="once")
    first = await customer.expects("ack")
    await customer.sends(type="message", id="a", text="once")
    assert await customer.expects("ack") == first
    await customer.sends(type="message", id="a", text="twice")
    error = await customer.expects("error")
    assert (error["code"], error["id"], error["then"]) == ("id_reused", "a", "drop")
    assert any_house.accepted == ["webchat"]


async def test_two_customers_may_use_the_same_id(any_house: House) -> None:
    one, other = await any_house.customer(), await any_house.customer()
    await one.says("mine", "same")
    await other.says("yours", "same")
    await other.hears("yours")


async def test_two_tabs_hear_the_same(any_house: House) -> None:
    tab = await any_house.customer()
    other = await tab.another_tab()
    await tab.says("hi")
    await other.hears("hi")
    await any_house.works()
    assert await tab.hears("echo hi") == await other.hears("echo hi")


async def test_history_goes_back_page_by_page(any_house: House) -> None:
    customer = await any_house.customer()
    for word in "abcde":
        await customer.says(word)
    _, last = await any_house.get("/chat/messages?limit=2", customer.token)
    assert ([m["seq"] for m in last["messages"]], last["more"]) == ([4, 5], True)
    _, first = await any_house.get("/chat/messages?limit=3&before=4", customer.token)
    assert ([m["seq"] for m in first["messages"]], first["more"]) == ([1, 2, 3], False)
    _, none = await any_house.get("/chat/messages?before=1", customer.token)
    assert none == {"messages": [], "more": False}


async def test_the_place_in_the_queue_moves_up(any_house: House) -> None:
    first, second = await any_house.customer(), await any_house.customer()
    for customer in (first, second):
        await customer.says("human")
        await any_house.works()
    assert (await second.expects("queue"))["position"] == 2
    await any_house.accepts(first)
    assert (await second.expects("queue"))["position"] == 1


async def test_a_returning_customer_hears_where_they_stand(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.says("human")
    await any_house.works()
    await customer.expects("queue")
    await customer.hangs_up()
    welcome = await customer.connects()
    assert welcome["control"] == "queue"
    await customer.expects("queue", position=1)
    await any_house.accepts(customer)
    await customer.hangs_up()
    welcome = await customer.connects()
    assert (welcome["control"], welcome["name"]) == ("agent", "Ada")


async def test_typing_of_the_customer_reaches_the_desk_and_the_other_tab(house: House) -> None:
    tab = await house.customer()
    other = await tab.another_tab()
    await tab.says("human")
    await house.works()
    conversation = (await tab.expects("conversation"))["conversation"]
    await tab.expects("queue")
    desk = house.store.bus.subscribe(topics.DESK)
    await tab.sends(type="typing")
    await other.expects("typing", author={"kind": "customer"})
    note = (await desk.wait(1))[0]
    assert (note["type"], note["conversation"], note["author"]) == (
        "typing",
        conversation,
        {"kind": "customer"},
    )
    assert {"type": "typing", "author": {"kind": "customer"}} not in await tab.everything()
    desk.close()


async def test_typing_for_the_assistant_does_not_wake_the_desk(house: House) -> None:
    tab = await house.customer()
    await tab.says("hi")
    await tab.hears("hi")
    desk = house.store.bus.subscribe(topics.DESK)
    await tab.sends(type="typing")
    await tab.sends(type="read", seq=1)
    await tab.everything()
    assert await desk.wait(0) == []
    desk.close()


async def test_what_the_customer_read_reaches_the_desk(house: House) -> None:
    tab = await house.customer()
    await tab.says("human")
    await house.works()
    await tab.expects("queue")
    desk = house.store.bus.subscribe(topics.DESK)
    await tab.sends(type="read", seq=2)
    assert [note["seq"] for note in await desk.wait(1)] == [2]
    desk.close()


async def test_typing_and_read_marks_of_the_other_side_reach_the_customer(house: House) -> None:
    tab = await house.customer()
    bus, topic = house.store.bus, topics.thread_topic(tab.thread)
    bus.publish(topic, {"type": "typing", "author": {"kind": "agent", "name": "Ada", "id": "secret"}})
    assert await tab.expects("typing") == {"type": "typing", "author": {"kind": "agent", "name": "Ada"}}
    bus.publish(topic, {"type": "read", "seq": 3})
    assert await tab.expects("read") == {"type": "read", "seq": 3}
    for odd in ({"type": "typing"}, {"type": "read", "seq": "3"}, {"type": "note", "text": "internal"}, {}):
        bus.publish(topic, odd)
    assert await tab.everything() == []


async def test_the_assistant_is_seen_typing(house: House) -> None:
    tab = await house.customer()
    await tab.says("hi")
    await house.works()
    await tab.expects("typing", author={"kind": "assistant"})


async def test_a_long_absence_is_cut_short_and_said_so(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.says("hi")
    await any_house.fills(customer, 600)
    await customer.hangs_up()
    welcome = await customer.connects(last_seq=1)
    assert (welcome["truncated"], welcome["last_seq"]) == (True, 601)
    replay = [frame["seq"] for frame in await customer.everything() if frame["type"] == "message"]
    assert replay == list(range(102, 602))


async def test_a_client_ahead_of_its_thread_gets_everything(house: House) -> None:
    customer = await house.customer()
    await customer.says("hi")
    await customer.hangs_up()
    await customer.connects(last_seq=77)
    await customer.hears("hi")


async def test_an_open_conversation_is_named_when_resuming(any_house: House) -> None:
    customer = await any_house.customer()
    await customer.says("hi")
    conversation = (await customer.expects("conversation"))["conversation"]
    again = await any_house.session(resume=customer.token)
    assert (again["thread"], again["conversation"], again["last_seq"]) == (customer.thread, conversation, 1)


async def test_a_clock_set_back_does_not_hide_the_open_conversation(
    any_house: House, clock: MovableClock
) -> None:
    customer = await any_house.customer()
    await customer.says("hi")
    await customer.sends(type="end")
    await customer.expects("control", control="closed")
    clock.advance(-600)
    await customer.says("again")
    await customer.hears("again")
    await customer.hangs_up()
    welcome = await customer.connects()
    assert welcome["control"] == "assistant"
