"""The path of a message through the core, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial

import pytest

from conversations.control import Control
from conversations.errors import AssistantError, AssistantRefused, IdReused, LookupUnavailable, NotOffered
from conversations.messages import Choice, Inbound, Text
from conversations.ports import HandoffRequest, TurnRequest, TurnResult
from conversations.store import Store, Transaction, turns, views
from conversations.store.turns import Claim
from tests.conftest import MovableClock
from tests.conversations.world import ScriptedAssistant, World, echo


async def test_a_message_is_answered_once_and_the_state_travels(store: Store) -> None:
    world = World(store)
    await world.says("hi")
    await world.says("again")
    assert await world.worker.run_due() == 2
    assert await world.heard() == [
        "customer: hi",
        "customer: again",
        "assistant: echo hi",
        "assistant: echo again",
    ]
    assert [r.state for r in world.assistant.asked] == [None, {"turns": 1}]
    assert (await world.conversation()).due_at is None


async def test_the_same_event_again_gives_the_same_answer_and_no_second_message(store: Store) -> None:
    world = World(store)
    first = await world.says("hi", "e")
    again = await world.says("hi", "e")
    assert (again.seq, again.message, again.duplicate) == (first.seq, first.message, True)
    with pytest.raises(IdReused):
        await world.says("something else", "e")
    assert len(await world.transcript()) == 1


async def test_one_event_delivered_five_times_at_once_is_one_message(store: Store) -> None:
    world = World(store)
    accepted = await asyncio.gather(*(world.says("hi", "same") for _ in range(5)))
    assert len({a.message for a in accepted}) == 1
    assert sorted(a.duplicate for a in accepted) == [False, True, True, True, True]


async def test_messages_that_come_at_once_are_numbered_without_gaps(store: Store) -> None:
    world = World(store)
    accepted = await asyncio.gather(*(world.says(f"m{i}") for i in range(40)))
    assert sorted(a.seq for a in accepted) == list(range(1, 41))
    assert len({a.conversation for a in accepted}) == 1


async def test_a_choice_that_was_offered_goes_through_as_payload(store: Store) -> None:
    offer = Text("Which?", (Choice("My order", "/order_status"),))
    world = World(store, ScriptedAssistant(lambda r: TurnResult(replies=(offer,), state={}, model="m")))
    await world.says("help")
    await world.worker.run_due()
    await world.store.write(
        lambda tx: world.intake.accept(tx, Inbound(world.sender, "c1", choice=(2, "/order_status")))
    )
    await world.worker.run_due()
    assert world.assistant.asked[-1].choice == "/order_status"
    assert (await world.heard())[2] == "customer: My order"


@pytest.mark.parametrize("choice", [(2, "/restart"), (1, "/order_status"), (99, "/order_status")])
async def test_a_choice_that_was_never_offered_is_refused(
    sqlite_store: Store, choice: tuple[int, str]
) -> None:
    world = World(sqlite_store)
    await world.says("help")
    await world.worker.run_due()
    inbound = Inbound(world.sender, "c1", choice=choice)
    with pytest.raises(NotOffered):
        await world.store.write(lambda tx: world.intake.accept(tx, inbound))


async def test_handoff_agent_and_back(store: Store) -> None:
    world = World(store)
    await world.says("human please")
    await world.worker.run_due()
    assert (await world.conversation()).control is Control.QUEUE
    await world.says("are you there?")
    assert await world.worker.run_due() == 0
    await world.accept()
    await world.agent_says("Hello, Ada here")
    await world.says("thanks")
    await world.resolves()
    await world.says("hi again")
    await world.worker.run_due()
    assert await world.heard() == [
        "customer: human please",
        "assistant: echo human please",
        "system: queued: customer_asked",
        "customer: are you there?",
        "system: Ada has joined the conversation.",
        "agent: Hello, Ada here",
        "customer: thanks",
        "customer: hi again",
        "assistant: echo hi again",
    ]


async def test_a_turn_that_ends_after_an_agent_accepted_says_nothing(store: Store) -> None:
    world = World(store)
    await world.says("first")
    late = await _claim(world)
    await world.store.write(
        lambda tx: world.lifecycle.escalate(tx, *world.locked(tx), HandoffRequest("customer_asked"))
    )
    await world.accept()
    result = TurnResult(
        replies=(Text("too late"),), state={"turns": 9}, model="m", lookups=({"action": "x"},)
    )
    assert await world.store.write(lambda tx: world.worker.commit(tx, late, result)) == "outdated"
    assert "assistant: too late" not in await world.heard()
    assert (await world.conversation()).state is None
    found = await world.store.read(lambda tx: turns.of_conversation(tx, late.conversation.id))
    assert found[0].result["lookups"] == [{"action": "x"}]


async def test_a_worker_that_lost_its_lease_says_nothing_and_the_other_does(
    store: Store, clock: MovableClock
) -> None:
    world = World(store)
    await world.says("hi")
    slow = await _claim(world)
    clock.advance(world.limits.lease_s + 1)
    fast = await _claim(world)
    assert fast.turn == slow.turn
    assert fast.attempt == 2
    assert await world.store.write(lambda tx: world.worker.commit(tx, slow, echo(_asked(slow)))) == "lost"
    assert (
        await world.store.write(lambda tx: world.worker.commit(tx, fast, echo(_asked(fast)))) == "committed"
    )
    assert await world.heard() == ["customer: hi", "assistant: echo hi"]


async def test_an_assistant_that_is_gone_is_asked_again_and_then_people_are_called(
    store: Store, clock: MovableClock
) -> None:
    def gone(_: TurnRequest) -> TurnResult:
        raise AssistantError("gone")

    world = World(store, ScriptedAssistant(gone))
    await world.says("hi")
    for _ in range(20):
        await world.worker.run_due()
        clock.advance(4)
    assert len(world.assistant.asked) > 3
    assert len({r.turn for r in world.assistant.asked}) == 1
    assert (await world.heard())[-1] == "system: queued: assistant_unavailable"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AssistantRefused("bad request"), "assistant_unavailable"),
        (LookupUnavailable("action failed", ({"action": "a"},), ()), "lookup_failed"),
    ],
)
async def test_a_failure_becomes_a_handoff_with_its_own_reason(
    sqlite_store: Store, clock: MovableClock, error: Exception, reason: str
) -> None:
    def fails(_: TurnRequest) -> TurnResult:
        raise error

    world = World(sqlite_store, ScriptedAssistant(fails))
    await world.says("hi")
    for _ in range(20):
        await world.worker.run_due()
        clock.advance(4)
    assert (await world.heard())[-1] == f"system: queued: {reason}"


async def test_an_answer_without_words_is_asked_once_more_and_then_people_are_called(
    sqlite_store: Store, clock: MovableClock
) -> None:
    world = World(sqlite_store, ScriptedAssistant(lambda r: TurnResult(state={}, model="m")))
    await world.says("hi")
    for _ in range(5):
        await world.worker.run_due()
        clock.advance(2)
    assert len(world.assistant.asked) == 2
    assert await world.heard() == ["customer: hi", "system: queued: assistant_unavailable"]


UNUSABLE = {
    "a look-up that is no object": TurnResult(replies=(Text("hi"),), state={}, model="m", lookups=(5,)),  # type: ignore[arg-type]
    "a name that no database holds": TurnResult(
        replies=(Text("hi"),),
        state={},
        model="m",
        effects=({"kind": "set_verification", "level": "order", "customer": "C1", "name": {"first": "Bo"}},),
    ),
}


@pytest.mark.parametrize("answer", UNUSABLE.values(), ids=UNUSABLE)
async def test_an_answer_that_cannot_be_kept_is_asked_again_and_then_people_are_called(
    store: Store, clock: MovableClock, answer: TurnResult
) -> None:
    world = World(store, ScriptedAssistant(lambda r: answer))
    await world.says("hi")
    await _until_people_are_called(world, clock)
    assert await world.heard() == ["customer: hi", "system: queued: assistant_unavailable"]


async def test_an_assistant_that_breaks_in_an_unforeseen_way_leaves_nobody_in_silence(
    sqlite_store: Store,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(request: TurnRequest) -> TurnResult:
        raise KeyError(request.text)

    world = World(sqlite_store, ScriptedAssistant(broken))
    await world.says("my secret")
    await _until_people_are_called(world, clock)
    assert (await world.heard())[-1] == "system: queued: assistant_unavailable"
    logged = caplog.text + "".join(capsys.readouterr())
    assert "KeyError" in logged
    assert "my secret" not in logged


async def _until_people_are_called(world: World, clock: MovableClock) -> None:
    for _ in range(20):
        claims = await world.worker._claim(1)
        for claim in claims:
            await world.worker._guarded(claim)
        clock.advance(4)


async def test_a_clock_that_was_set_back_keeps_no_retry_waiting_after_a_restart(
    sqlite_store: Store, clock: MovableClock
) -> None:
    def gone(_: TurnRequest) -> TurnResult:
        raise AssistantError("gone")

    world = World(sqlite_store, ScriptedAssistant(gone))
    await world.says("hi")
    assert await world.worker.run_due() == 1
    clock.advance(-3600)
    world.assistant.answer = echo
    assert await world.worker.run_due() == 0
    assert await sqlite_store.write(turns.release_all) == 1
    assert await world.worker.run_due() == 1
    assert (await world.heard())[-1] == "assistant: echo hi"


async def test_a_late_answer_does_not_undo_what_was_committed_of_its_turn(
    store: Store, clock: MovableClock
) -> None:
    world = World(store)
    await world.says("a human please")
    slow = (await store.write(lambda tx: turns.claim(tx, 1, 15_000)))[0]
    clock.advance(16)
    await world.worker.run_due()
    late = await store.write(lambda tx: world.worker.commit(tx, slow, echo(_asked(slow))))
    rows = await store.read(lambda tx: turns.of_conversation(tx, slow.conversation.id))
    assert (late, [row.status for row in rows]) == ("outdated", ["committed"])


async def test_an_action_may_ask_for_a_person_by_an_effect(sqlite_store: Store) -> None:
    effect = {"kind": "request_handoff", "reason": "form_failed", "note": "three answers missed"}
    answer = TurnResult(state={}, model="m", effects=({"kind": "of tomorrow"}, effect))
    world = World(sqlite_store, ScriptedAssistant(lambda r: answer))
    await world.says("hi")
    await world.worker.run_due()
    assert await world.heard() == ["customer: hi", "system: queued: form_failed"]


async def test_verification_is_kept_by_the_core_and_expires(sqlite_store: Store, clock: MovableClock) -> None:
    proof = {"kind": "set_verification", "level": "order", "customer": "c7", "name": "Mia", "method": "m"}
    wrong = {"kind": "set_verification", "level": "none", "failed": True}
    effects: Iterator[Mapping[str, object]] = iter(
        [wrong, wrong, proof, {"kind": "other"}, {"kind": "other"}]
    )
    answer = TurnResult(replies=(Text("ok"),), state={}, model="m")

    def turn(_: TurnRequest) -> TurnResult:
        return TurnResult(replies=answer.replies, state={}, model="m", effects=(next(effects),))

    world = World(sqlite_store, ScriptedAssistant(turn))
    for i in range(4):
        await world.says(f"m{i}")
        await world.worker.run_due()
    seen = [r.context["verification"] for r in world.assistant.asked]
    assert [(v["level"], v["failed_attempts"]) for v in seen] == [
        ("none", 0),
        ("none", 1),
        ("none", 2),
        ("order", 0),
    ]
    assert seen[-1]["customer"] == "c7"
    clock.advance(3600)
    await world.says("later")
    await world.worker.run_due()
    assert world.assistant.asked[-1].context["verification"]["level"] == "none"


async def test_what_was_written_behind_the_agents_last_word_is_answered_after_the_return(
    store: Store,
) -> None:
    world = World(store)
    await world.says("human")
    await world.worker.run_due()
    await world.accept()
    await world.agent_says("Done. Back to the assistant.")
    await world.says("and my bill?")
    await world.returns()
    await world.worker.run_due()
    assert (await world.heard())[-1] == "assistant: echo and my bill?"


async def test_the_customer_leaves_the_queue_and_goes_on_with_the_assistant(store: Store) -> None:
    world = World(store)
    accepted = await world.says("human")
    await world.worker.run_due()
    assert await store.write(lambda tx: world.lifecycle.cancel_queue(tx, accepted.thread))
    await world.says("hello")
    await world.worker.run_due()
    assert (await world.heard())[-1] == "assistant: echo hello"
    assert not await store.write(lambda tx: world.lifecycle.cancel_queue(tx, accepted.thread))


async def test_positions_in_the_queue_count_from_one(store: Store) -> None:
    threads = []
    for i in range(3):
        world = World(store, address=f"a{i}")
        threads.append((await world.says("human", f"human{i}")).thread)
        await world.worker.run_due()
    positions = [await store.read(partial(_position, thread=t)) for t in threads]
    assert positions == [1, 2, 3]


def _position(tx: Transaction, thread: str) -> int | None:
    return views.thread_view(tx, thread, 0).position


async def _claim(world: World) -> Claim:
    def job(tx: Transaction) -> Claim:
        return next(iter(turns.claim(tx, 1, int(world.limits.lease_s * 1000))))

    return await world.store.write(job)


def _asked(claim: Claim) -> TurnRequest:
    return TurnRequest(
        claim.turn, claim.conversation.id, claim.text, claim.choice, {}, claim.conversation.state
    )
