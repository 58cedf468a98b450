"""The desk's events: in commit order, none missing, from wherever a desk left off."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from conversations.errors import StoreUnavailable
from conversations.store import Store, Transaction
from conversations.store.engine import DeskEvent
from conversations.store.postgres import postgres_url
from conversations.store.tables import desk_events
from handoff import events
from handoff.agents import Presence, set_presence
from handoff.desk import MAX_SOCKETS

from ..conftest import MovableClock
from .office import Caller, Office, close_code, next_event, ordered, reduced

POSTGRES = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


async def mixed_story(office: Office, ada: Caller, eve: Caller) -> None:
    """Something of everything that makes events."""
    one, two, three = (office.customer() for _ in range(3))
    first, second = await one.asks_for_a_person(), await two.asks_for_a_person()
    third = await three.asks_for_a_person()
    await ada.put("me/presence", {"state": "available"})
    await ada.accept(first["id"])
    await one.says("hello?")
    path = f"conversations/{first['conversation_id']}"
    await ada.post(f"{path}/messages", {"id": "1", "text": "Hello"})
    await ada.post(f"{path}/notes", {"id": "2", "text": "polite"})
    await one.says("thank you")
    await ada.post(f"handoffs/{second['id']}/decline", {"reason": "busy"})
    await eve.accept(second["id"])
    await ada.post(f"handoffs/{first['id']}/transfer", {"queue": "billing", "note": "a bill"})
    await three.ends()
    await two.ends()
    await eve.post(f"{path}/takeover")
    await eve.post(f"handoffs/{first['id']}/return")
    again = await one.asks_for_a_person()
    await ada.accept(again["id"])
    await ada.post(f"handoffs/{again['id']}/resolve", {"disposition": "done"})
    await eve.put("me/presence", {"state": "busy", "reason": "lunch"})
    assert third["state"] == "queued"


async def follow(caller: Caller, state: Any, until: int) -> None:
    """Applies events to the state until it stands at number `until`, or beyond as far as this agent hears."""
    assert caller.agent is not None
    socket = await caller.listen(state["event"])
    while state["event"] < until:
        reduced(state, await next_event(socket), caller.agent)
    await socket.close()
    state["handoffs"] = ordered(state["handoffs"])


async def test_every_point_plus_events_makes_the_fresh_state(office: Office) -> None:
    """States taken all along the way, each brought up to date by its events, are equal to the last one."""
    ada = await office.hire("Ada")
    eve = await office.hire("Eve", "supervisor", queues=())
    taken: list[tuple[Caller, Any]] = []
    original = office.store.write

    async def write(job: Callable[[Transaction], Any]) -> Any:
        result = await original(job)
        taken.extend([(caller, await caller.state()) for caller in (ada, eve)])
        return result

    office.store.write = write  # type: ignore[method-assign]
    try:
        await mixed_story(office, ada, eve)
    finally:
        office.store.write = original  # type: ignore[method-assign]
    fresh = {id(caller): await caller.state() for caller in (ada, eve)}
    assert len(taken) > 40
    for caller, state in random.Random(1).sample(taken, 24):
        await follow(caller, state, fresh[id(caller)]["event"])
        assert state == fresh[id(caller)]


async def test_reconnecting_at_every_point_misses_nothing(office: Office) -> None:
    ada, eve = await office.hire("Ada"), await office.hire("Eve", "supervisor")
    start = (await eve.state())["event"]
    await mixed_story(office, ada, eve)
    end = (await eve.state())["event"]
    whole = await heard_between(eve, start, end)
    assert [event["event"] for event in whole] == list(range(start + 1, end + 1))
    for point in range(start, end):
        socket = await eve.listen(point)
        assert await next_event(socket) == whole[point - start]
        await socket.close()


async def heard_between(caller: Caller, start: int, end: int) -> list[Any]:
    socket = await caller.listen(start)
    heard = [await next_event(socket) for _ in range(end - start)]
    await socket.close()
    return heard


async def test_without_a_number_it_begins_now(office: Office) -> None:
    eve = await office.hire("Eve", "supervisor")
    await eve.put("me/presence", {"state": "busy"})
    socket = await eve.listen()
    await eve.put("me/presence", {"state": "away"})
    assert (await next_event(socket))["agent"]["presence"] == "away"


@pytest.mark.parametrize("after", [0, 10**12])
async def test_too_old_or_unknown_numbers_are_reset(office: Office, after: int, clock: MovableClock) -> None:
    eve = await office.hire("Eve", "supervisor")
    await eve.put("me/presence", {"state": "busy"})
    clock.advance(49 * 3600)
    await eve.put("me/presence", {"state": "available"})
    assert await office.store.write(events.purge) == 1
    last = (await eve.state())["event"]
    socket = await eve.listen(after)
    reset = await next_event(socket)
    assert (reset["type"], reset["event"]) == ("reset", last)
    await eve.put("me/presence", {"state": "away"})
    assert (await next_event(socket))["event"] == last + 1
    kept = await eve.listen(last - 1)
    assert (await next_event(kept))["event"] == last


async def test_purging_keeps_two_days(office: Office, clock: MovableClock) -> None:
    def kept(tx: Transaction) -> list[int]:
        return list(tx.conn.execute(sa.select(desk_events.c.event).order_by(desk_events.c.event)).scalars())

    def tell(tx: Transaction) -> None:
        tx.emit(DeskEvent("queue", {"queue": events.queue_json(tx, "general")}))

    for _ in range(3):
        await office.store.write(tell)
        clock.advance(23 * 3600)
    assert await office.store.write(events.purge) == 1
    assert await office.store.read(kept) == [2, 3]
    clock.advance(72 * 3600)
    assert await office.store.write(events.purge) == 2
    await office.store.write(tell)
    assert await office.store.read(kept) == [4]


async def test_a_slow_desk_reads_on_from_the_table(small_office: Office) -> None:
    """More events than are kept in memory pass while a desk does not read."""
    from handoff import hub

    eve = await small_office.hire("Eve", "supervisor")
    awake = await eve.listen()
    start = (await eve.state())["event"]
    count = hub.WINDOW + hub.BATCH + 7

    def many(tx: Transaction) -> None:
        for _ in range(count):
            tx.emit(DeskEvent("queue", {"queue": events.queue_json(tx, "general")}))

    await small_office.store.write(many)
    assert [(await next_event(awake))["event"] for _ in range(count)] == list(
        range(start + 1, start + count + 1)
    )
    late = await eve.listen(start)
    assert [(await next_event(late))["event"] for _ in range(count)] == list(
        range(start + 1, start + count + 1)
    )


async def test_the_server_going_away_says_so(sqlite_store: Store) -> None:
    async with Office(sqlite_store) as office:
        eve = await office.hire("Eve", "supervisor")
        socket = await eve.listen()
        closing = asyncio.create_task(close_code(socket))
        await office.server.close()
        assert await closing == 1001


async def test_a_desk_sits_through_an_outage_of_the_database(small_office: Office) -> None:
    """What is asked meanwhile is refused clearly; the socket stays, and is told everything afterwards."""
    store = small_office.store
    eve = await small_office.hire("Eve", "supervisor")
    socket = await eve.listen()
    read, asked = store.read, asyncio.Event()

    async def refuse(job: object) -> Any:
        asked.set()
        raise StoreUnavailable("gone")

    store.read = refuse  # type: ignore[method-assign]
    await store.write(says_presence(eve.agent.id, Presence.BUSY))  # type: ignore[union-attr]
    await asked.wait()
    refused = await eve.get("state")
    assert (refused.status, refused.code) == (503, "unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    store.read = read  # type: ignore[method-assign]
    assert (await next_event(socket))["agent"]["presence"] == "busy"


async def test_an_agent_has_so_many_sockets(small_office: Office) -> None:
    eve, ada = await small_office.hire("Eve"), await small_office.hire("Ada")
    sockets = [await eve.listen() for _ in range(MAX_SOCKETS)]
    assert await close_code(await eve.listen()) == 4409
    await sockets[0].close()
    await ada.put("me/presence", {"state": "busy"})
    for socket in sockets[1:]:
        assert (await next_event(socket))["type"] == "presence"


# -------------------------------------------------- interleaved transactions


class Writer:
    """A transaction of its own on PostgreSQL, committed when the test says so."""

    def __init__(self, conn: AsyncConnection, store: Store) -> None:
        self._conn = conn
        self._store = store

    async def does(self, job: Callable[[Transaction], object]) -> None:
        """Does the job and numbers its events, which takes the counter's lock until the commit."""
        await self.begins(job)
        await self._conn.run_sync(lambda _: self._tx.flush_events())

    async def begins(self, job: Callable[[Transaction], object]) -> None:
        def run(conn: sa.Connection) -> None:
            self._tx = Transaction(conn, 1)
            job(self._tx)

        await self._conn.run_sync(run)

    async def commits(self) -> None:
        await self._conn.commit()
        self._store.bus.publish("desk")


@contextlib.asynccontextmanager
async def writers(url: str, store: Store, count: int) -> AsyncIterator[list[Writer]]:
    engine: AsyncEngine = create_async_engine(postgres_url(make_url(url)), pool_size=count)
    try:
        async with contextlib.AsyncExitStack() as stack:
            conns = [await stack.enter_async_context(engine.connect()) for _ in range(count)]
            yield [Writer(conn, store) for conn in conns]
    finally:
        await engine.dispose()


def says_presence(agent: str, presence: Presence) -> Callable[[Transaction], object]:
    return lambda tx: set_presence(tx, agent, presence, None)


@POSTGRES
async def test_numbers_follow_commits_when_writers_overlap(office: Office, database_url: str) -> None:
    """One writer holds its numbered event open; a second, begun before, waits its turn; the socket sees neither early."""
    ada, bob = await office.hire("Ada"), await office.hire("Bob")
    eve = await office.hire("Eve", "supervisor")
    assert ada.agent is not None
    assert bob.agent is not None
    state = await eve.state()
    socket = await eve.listen(state["event"])
    async with writers(database_url, office.store, 2) as (one, two):
        await one.begins(says_presence(ada.agent.id, Presence.BUSY))
        await two.does(says_presence(bob.agent.id, Presence.BUSY))
        flushing = asyncio.create_task(one._conn.run_sync(lambda _: one._tx.flush_events()))
        between = await eve.state()
        assert between == state
        assert not flushing.done()
        await two.commits()
        await flushing
        held = await eve.state()
        assert held["event"] == state["event"] + 1
        await one.commits()
    names = [
        (e["event"] - state["event"], e["agent"]["name"])
        for e in [await next_event(socket) for _ in range(2)]
    ]
    assert names == [(1, "Bob"), (2, "Ada")]
    fresh = await eve.state()
    for begun in (state, held):
        await follow(eve, begun, fresh["event"])
        assert begun == fresh


@POSTGRES
async def test_queues_are_counted_right_when_acceptances_overlap(office: Office) -> None:
    """Each accepts another customer of one queue at the same moment: the last count told is the true one."""
    agents = [await office.hire(f"Agent{i}") for i in range(8)]
    eve = await office.hire("Eve", "supervisor")
    state = await eve.state()
    handoffs = [await office.customer().asks_for_a_person() for _ in agents]
    taken = await asyncio.gather(
        *(agent.accept(handoff["id"]) for agent, handoff in zip(agents, handoffs, strict=True))
    )
    assert {seen.status for seen in taken} == {200}
    fresh = await eve.state()
    await follow(eve, state, fresh["event"])
    assert state == fresh
    assert state["queues"][0] == {"name": "general", "waiting": 0, "oldest_enqueued_at": None}


async def test_a_busy_desk_that_reconnects_all_the_time(office: Office) -> None:
    """Customers, agents and the assistant at once; desks that drop off after every few events still miss none."""
    ada, bob = await office.hire("Ada"), await office.hire("Bob")
    eve = await office.hire("Eve", "supervisor")
    desks = (ada, bob, eve)
    states = {desk.headers["Authorization"]: await desk.state() for desk in desks}
    start = (await eve.state())["event"]
    working = asyncio.create_task(office.worker.run())
    finished = asyncio.Event()
    numbers: list[int] = []

    async def watch(desk: Caller, rng: random.Random) -> None:
        state = states[desk.headers["Authorization"]]
        assert desk.agent is not None
        while True:
            socket = await desk.listen(state["event"])
            for _ in range(rng.randint(1, 5)):
                try:
                    async with asyncio.timeout(0.5):
                        event = await socket.receive_json()
                except TimeoutError:
                    if finished.is_set() and state["event"] >= (await eve.state())["event"]:
                        await socket.close()
                        return
                    if finished.is_set() and desk is not eve:
                        await socket.close()
                        return
                    break
                if desk is eve:
                    numbers.append(event["event"])
                reduced(state, event, desk.agent)
            await socket.close()

    async def customer(rng: random.Random) -> None:
        person = office.customer()
        for i in range(4):
            text = "customer_asked" if rng.random() < 0.6 else f"message {i}"
            await person.writes(text)
            if rng.random() < 0.2:
                await person.ends()

    async def agent(desk: Caller) -> None:
        while not finished.is_set():
            for handoff in (await desk.state())["handoffs"]:
                if handoff["state"] == "queued":
                    await desk.accept(handoff["id"])
                else:
                    path = f"conversations/{handoff['conversation']}/messages"
                    await desk.post(path, {"id": handoff["id"], "text": "Hello"})
                    await desk.post(f"handoffs/{handoff['id']}/resolve", {"disposition": "done"})

    watching = [asyncio.create_task(watch(desk, random.Random(i))) for i, desk in enumerate(desks)]
    serving = [asyncio.create_task(agent(desk)) for desk in (ada, bob)]
    await asyncio.gather(*(customer(random.Random(i)) for i in range(12)))
    async with asyncio.timeout(40):
        while (await office.store.read(_unfinished)) > 0:
            await (await eve.listen()).close()
    finished.set()
    await asyncio.gather(*serving)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    fresh = {desk.headers["Authorization"]: await desk.state() for desk in desks}
    await asyncio.gather(*watching)
    assert numbers == list(range(start + 1, fresh[eve.headers["Authorization"]]["event"] + 1))
    for desk in desks:
        state = states[desk.headers["Authorization"]]
        state["handoffs"] = ordered(state["handoffs"])
        assert state | {"event": 0} == fresh[desk.headers["Authorization"]] | {"event": 0}


def _unfinished(tx: Transaction) -> int:
    from conversations.store.tables import conversations

    waiting = sa.or_(conversations.c.due_at.is_not(None), conversations.c.control.in_(("queue", "agent")))
    return int(
        tx.conn.execute(sa.select(sa.func.count()).select_from(conversations).where(waiting)).scalar_one()
    )


async def test_what_a_socket_sees_was_committed(office: Office) -> None:
    """Whoever hears of a handoff can read its context at once."""
    eve = await office.hire("Eve", "supervisor")
    socket = await eve.listen()
    asking = asyncio.create_task(office.customer().asks_for_a_person())
    event = await next_event(socket)
    assert (await eve.get(f"handoffs/{event['handoff']['id']}")).status == 200
    await asking
