"""Delivery: order within a thread, retries by kind of error, nothing sent twice blindly."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from conversations.delivery import DeliveryWorker, Final, Later, RetryPolicy
from conversations.errors import (
    Ambiguous,
    BadCredentials,
    Rejected,
    RetryAfter,
    SendError,
    Temporary,
    WindowClosed,
)
from conversations.messages import Outbound, Receipt, Status
from conversations.store import Store, Transaction, outbox
from conversations.store.tables import outbox as outbox_table
from tests.conftest import MovableClock
from tests.conversations.world import RecordingConnector, World


@dataclass
class Failing:
    """Raises the errors in turn, then sends."""

    errors: list[SendError]

    def __call__(self, message: Outbound) -> Receipt:
        if self.errors:
            raise self.errors.pop(0)
        return Receipt("p")


def _worker(store: Store, connector: RecordingConnector) -> DeliveryWorker:
    return DeliveryWorker(store, {"sms": connector}, chance=lambda: 1.0)


async def _three_replies(store: Store, address: str = "+441") -> World:
    world = World(store, channel="sms", address=address)
    for word in ("one", "two", "three"):
        await world.says(word)
    await world.worker.run_due()
    return world


async def test_replies_are_sent_in_order_and_marked(store: Store) -> None:
    world = await _three_replies(store)
    connector = RecordingConnector()
    assert await _worker(store, connector).run_due() == 3
    assert [m.content.text for m in connector.sent] == ["echo one", "echo two", "echo three"]
    assert {m.status for m in await world.transcript()} == {"sent"}


@pytest.mark.parametrize("error", [RetryAfter(5), Temporary("busy")])
async def test_an_error_in_the_middle_does_not_let_the_next_one_overtake(
    store: Store, clock: MovableClock, error: SendError
) -> None:
    await _three_replies(store)
    connector = RecordingConnector(behave=Failing([error]))
    worker = _worker(store, connector)
    await worker.run_due()
    assert connector.sent == []
    clock.advance(10)
    await worker.run_due()
    assert [m.content.text for m in connector.sent] == ["echo one", "echo two", "echo three"]


@pytest.mark.parametrize("error", [Rejected("no such number"), WindowClosed("24 h"), Ambiguous("no answer")])
async def test_a_final_failure_lets_the_next_one_go_on(store: Store, error: SendError) -> None:
    world = await _three_replies(store)
    connector = RecordingConnector(behave=Failing([error]))
    await _worker(store, connector).run_due()
    assert [m.content.text for m in connector.sent] == ["echo two", "echo three"]
    expected = "ambiguous" if isinstance(error, Ambiguous) else "failed"
    assert [m.status for m in await world.transcript()][3] == expected


async def test_refused_credentials_pause_the_account_and_spend_no_attempts(
    store: Store, clock: MovableClock
) -> None:
    await _three_replies(store, "+441")
    await _three_replies(store, "+442")
    connector = RecordingConnector(behave=Failing([BadCredentials("401")]))
    worker = _worker(store, connector)
    assert await worker.run_due() == 1
    assert await worker.run_due() == 0
    clock.advance(61)
    assert await worker.run_due() == 6


async def test_a_reply_that_waited_too_long_expires_unsent(store: Store, clock: MovableClock) -> None:
    world = await _three_replies(store)
    clock.advance(11 * 60)
    connector = RecordingConnector()
    await _worker(store, connector).run_due()
    assert connector.sent == []
    assert [m.status for m in await world.transcript()][3:] == ["expired"] * 3


async def test_a_worker_killed_while_sending_leaves_an_ambiguous_message_and_sends_nothing_twice(
    store: Store, clock: MovableClock
) -> None:
    world = await _three_replies(store)
    connector = RecordingConnector()
    worker = _worker(store, connector)
    await store.write(lambda tx: outbox.claim(tx, ("sms",), 1, 30_000))
    await worker.run_due()
    assert connector.sent == []
    clock.advance(31)
    await worker.run_due()
    assert [m.content.text for m in connector.sent] == ["echo two", "echo three"]
    assert [m.status for m in await world.transcript()][3] == "ambiguous"


async def test_replies_not_yet_taken_up_are_withdrawn_when_an_agent_accepts(store: Store) -> None:
    world = World(store, channel="sms", address="+441")
    await world.says("one")
    await world.says("human")
    await world.worker.run_due()
    await world.accept()
    connector = RecordingConnector()
    await _worker(store, connector).run_due()
    assert [m.content.text for m in connector.sent] == [
        "queued: customer_asked",
        "Ada has joined the conversation.",
    ]
    statuses = {m.content.text: m.status for m in await world.transcript()}
    assert statuses["echo one"] == statuses["echo human"] == "withdrawn"


async def test_workers_side_by_side_keep_the_order_of_every_thread(store: Store) -> None:
    for i in range(5):
        await _three_replies(store, f"+44{i}")
    connector = RecordingConnector()
    workers = [_worker(store, connector) for _ in range(4)]
    while sum(await asyncio.gather(*(w.run_due() for w in workers))):
        pass
    assert len(connector.sent) == 15
    for address in {m.address for m in connector.sent}:
        texts = [m.content.text for m in connector.sent if m.address == address]
        assert texts == ["echo one", "echo two", "echo three"]


async def test_one_head_a_thread_and_none_when_all_is_sent(store: Store) -> None:
    await _three_replies(store)
    assert await store.read(_heads) == 1
    await _worker(store, RecordingConnector()).run_due()
    assert await store.read(_heads) == 0


def _heads(tx: Transaction) -> int:
    query = sa.select(sa.func.count()).select_from(outbox_table).where(outbox_table.c.head)
    return int(tx.conn.execute(query).scalar_one())


@pytest.mark.parametrize(
    ("error", "attempt", "decision"),
    [
        (RetryAfter(2.5), 99, Later(2500, "RetryAfter")),
        (Temporary(""), 1, Later(500, "Temporary")),
        (Temporary(""), 4, Later(4000, "Temporary")),
        (Temporary(""), 8, Final(Status.FAILED, "Temporary")),
        (Ambiguous(""), 1, Final(Status.AMBIGUOUS, "Ambiguous")),
        (Rejected("gone"), 1, Final(Status.FAILED, "Rejected: gone")),
        (BadCredentials(""), 1, Later(60_000, "BadCredentials", pause_account=True)),
    ],
)
def test_the_policy_decides_by_kind_of_error(error: SendError, attempt: int, decision: Final | Later) -> None:
    assert RetryPolicy().decide(error, attempt, chance=1.0) == decision


def test_jitter_takes_at_most_half_of_the_delay() -> None:
    soonest, latest = (RetryPolicy().decide(Temporary(""), 3, chance) for chance in (0.0, 1.0))
    assert (soonest, latest) == (Later(1000, "Temporary"), Later(2000, "Temporary"))
