"""Timers as rows: fired once, checked again when they fire, and none holds up the others."""

from __future__ import annotations

from conversations.control import Control
from conversations.store import Store, Transaction, conversations
from conversations.store.timers import Timer
from conversations.timers import TimerWorker
from tests.conftest import MovableClock
from tests.conversations.world import World

DAY_S = 24 * 3600


def _silence(world: World) -> TimerWorker:
    def handler(tx: Transaction, timer: Timer) -> None:
        world.lifecycle.end_by_silence(tx, timer.conversation_id, DAY_S * 1000)

    return TimerWorker(world.store, {conversations.SILENCE: handler})


async def test_a_silent_conversation_is_closed_and_a_lively_one_is_looked_at_later(
    store: Store, clock: MovableClock
) -> None:
    world = World(store)
    worker = _silence(world)
    await world.says("hi")
    await world.worker.run_due()
    clock.advance(DAY_S / 2)
    await world.says("still here")
    await world.worker.run_due()
    clock.advance(DAY_S / 2 + 1)
    assert await worker.run_due() == 1
    assert (await world.conversation()).control is Control.ASSISTANT
    clock.advance(DAY_S / 2)
    assert await worker.run_due() == 1
    assert (await world.conversation()).outcome == "silence"
    assert await worker.run_due() == 0


async def test_people_s_conversations_are_never_closed_by_silence(
    sqlite_store: Store, clock: MovableClock
) -> None:
    world = World(sqlite_store)
    await world.says("human")
    await world.worker.run_due()
    for _ in range(3):
        clock.advance(DAY_S + 1)
        await _silence(world).run_due()
    assert (await world.conversation()).control is Control.QUEUE


async def test_a_timer_of_an_older_epoch_does_nothing(store: Store, clock: MovableClock) -> None:
    world, fired = World(store), []
    accepted = await world.says("human")

    def plan(tx: Transaction) -> None:
        conversation = conversations.find(tx, accepted.conversation)
        conversations.set_timer(tx, "probe", conversation.id, tx.now, conversation.epoch)

    await store.write(plan)
    await world.worker.run_due()
    worker = TimerWorker(store, {"probe": lambda tx, timer: fired.append(timer.id)})
    clock.advance(1)
    assert await worker.run_due() == 1
    assert fired == []


async def test_a_timer_whose_handler_breaks_holds_nobody_up_and_is_tried_again(
    store: Store, clock: MovableClock
) -> None:
    world, fired = World(store), []
    accepted = await world.says("hi")

    def plan(tx: Transaction) -> None:
        for kind in ("breaks", "works"):
            conversations.set_timer(tx, kind, accepted.conversation, tx.now)

    def breaks(tx: Transaction, timer: Timer) -> None:
        fired.append(f"breaks {timer.attempt}")
        raise ValueError("what a customer wrote")

    def works(tx: Transaction, timer: Timer) -> None:
        fired.append("works")

    await store.write(plan)
    clock.advance(1)
    worker = TimerWorker(store, {"breaks": breaks, "works": works})
    await worker.run_due()
    assert sorted(set(fired)) == ["breaks 1", "works"]
    clock.advance(61)
    await worker.run_due()
    assert "breaks 2" in fired
