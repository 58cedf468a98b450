"""The desk's live stream: one reader of the event table for all sockets of this process.

Every socket keeps a number of its own and is sent what follows it, in order, from memory while it keeps up and from the
table when it does not. So a slow desk costs no memory, and no event is missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
import structlog

from conversations.bus import DESK, thread_topic
from conversations.errors import StoreUnavailable
from conversations.messages import rfc3339
from conversations.store import Store, Transaction, views
from conversations.store.tables import AGENTS_CONVERSATION
from conversations.store.tables import conversations as conversations_table

from . import sessions
from .access import may_hear
from .agents import Agent
from .sessions import Session

log = structlog.get_logger(__name__)

POLL_S = 1.0
BATCH = 500
WINDOW = 2000
MAX_NOTES = 16

GOING_AWAY = 1001
LOGGED_OUT = 4401
DUTIES_CHANGED = 4403


@dataclass(frozen=True, slots=True)
class Event:
    """A numbered event, its text made once for all sockets."""

    number: int
    type: str
    queue: str | None
    addressee: str | None
    frame: Mapping[str, Any]
    text: str


def _event(row: sa.Row[Any]) -> Event:
    frame = views.event_frame(row)
    return Event(row.event, row.type, row.queue, row.agent_id, frame, json.dumps(frame))


@dataclass(frozen=True, slots=True)
class Look:
    """What one read of the table found. `sessions`: what became of those that were asked for, if any were."""

    last: int
    events: Sequence[Event]
    sessions: Mapping[str, Session | None]


@dataclass(slots=True, eq=False)
class Seat:
    """One socket's place in the stream. `cursor`: the number of the last event that it was sent, or may not hear."""

    session: Session
    cursor: int
    threads: dict[str, str] = field(default_factory=dict)
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_NOTES))
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    close_code: int | None = None

    @property
    def agent(self) -> Agent:
        return self.session.agent

    def close(self, code: int) -> None:
        """Ends the socket as soon as it looks up."""
        self.close_code = self.close_code or code
        self.woken.set()


@dataclass(slots=True)
class Hub:
    """Reads events for all seats, looks after their sessions, and passes typing notes on."""

    store: Store
    _seats: set[Seat] = field(default_factory=set)
    _window: deque[Event] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _newest: int | None = None
    _checked_at: float = 0.0
    _watched: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Works until cancelled."""
        subscription = self.store.bus.subscribe(DESK)
        try:
            while True:
                await subscription.wait(POLL_S)
                await self._look_guarded()
        finally:
            subscription.close()
            for task in self._watched.values():
                task.cancel()

    async def join(self, session: Session, after: int | None) -> tuple[Seat, str | None]:
        """A seat behind event `after` (None: the newest), and the `reset` frame when events behind it are not kept.

        Raises:
            StoreUnavailable: the database does not answer.
        """

        def job(tx: Transaction) -> tuple[int, int | None, dict[str, str], int]:
            mine = sa.select(conversations_table.c.thread_id, conversations_table.c.id).where(
                sa.text(AGENTS_CONVERSATION), conversations_table.c.agent_id == session.agent.id
            )
            held = {row.thread_id: row.id for row in tx.conn.execute(mine)}
            return views.last_event(tx), views.oldest_event(tx), held, tx.now

        last, oldest, held, now = await self.store.read(job)
        start = last if after is None else after
        kept = start == last or (start < last and oldest is not None and oldest <= start + 1)
        seat = Seat(session, start if kept else last, held)
        self._seats.add(seat)
        self._watch()
        self.store.bus.publish(DESK)
        return seat, None if kept else _reset(last, now)

    def leave(self, seat: Seat) -> None:
        """The socket is gone."""
        self._seats.discard(seat)
        self._watch()

    def close_all(self) -> None:
        """The server goes away."""
        for seat in self._seats:
            seat.close(GOING_AWAY)

    def seats_of(self, agent: str) -> list[Seat]:
        """The seats of one agent, in no order."""
        return [seat for seat in self._seats if seat.agent.id == agent]

    async def next_for(self, seat: Seat) -> list[str]:
        """What is to be sent to the seat now, in order; moves its cursor. Empty: nothing more at the moment."""
        frames = list(seat.notes)
        seat.notes.clear()
        newest = self._newest
        if newest is None or seat.cursor >= newest:
            return frames
        events = await self._after(seat.cursor, newest)
        if not events or events[0].number != seat.cursor + 1:
            seat.cursor = newest
            return [*frames, _reset(newest, int(time.time() * 1000))]
        for event in events:
            seat.cursor = event.number
            self._follow(seat, event)
            if may_hear(seat.agent, event.queue, event.addressee):
                frames.append(event.text)
        seat.woken.set()
        return frames

    # ------------------------------------------------------------- reading

    async def _look_guarded(self) -> None:
        try:
            await self._look()
        except StoreUnavailable:
            log.warning("desk.store_unavailable")
        except Exception as error:
            log.exception("desk.stream_broken", error=type(error).__name__)

    async def _look(self) -> None:
        if not self._seats:
            self._newest = None
            self._window.clear()
            return
        more = True
        while more:
            look = await self.store.read(self._read_job())
            self._take(look)
            more = len(look.events) == BATCH

    def _read_job(self) -> Any:
        newest = self._newest
        keys = [seat.session.key for seat in self._seats]
        due = time.monotonic() - self._checked_at >= POLL_S

        def job(tx: Transaction) -> Look:
            last = views.last_event(tx)
            behind = last if newest is None else newest
            events = [_event(row) for row in views.events_after(tx, behind, BATCH)] if behind < last else []
            # Without a new event it was a log-out, or nothing, that woke us.
            look_after = due or not events or any(event.type == "presence" for event in events)
            living = sessions.living(tx, keys) if look_after else {}
            return Look(behind, events, {key: living.get(key) for key in keys} if look_after else {})

        return job

    def _take(self, look: Look) -> None:
        if look.sessions:
            self._checked_at = time.monotonic()
            self._check(look.sessions)
        if self._newest is None:
            self._newest = look.last
        self._window.extend(look.events)
        if look.events:
            self._newest = look.events[-1].number
        for seat in self._seats:
            seat.woken.set()

    def _check(self, found: Mapping[str, Session | None]) -> None:
        """Ends the seats whose session ended, or whose agent has other duties than when the socket was opened."""
        for seat in self._seats:
            if seat.session.key not in found:
                continue  # joined while this was read
            now, before = found[seat.session.key], seat.agent
            if now is None:
                seat.close(LOGGED_OUT)
            elif (now.agent.roles, now.agent.queues) != (before.roles, before.queues):
                seat.close(DUTIES_CHANGED)

    async def _after(self, cursor: int, newest: int) -> list[Event]:
        if self._window and self._window[0].number <= cursor + 1:
            skip = cursor + 1 - self._window[0].number
            upto = min(len(self._window), skip + BATCH)
            return [self._window[i] for i in range(skip, upto)]
        rows = await self.store.read(lambda tx: views.events_after(tx, cursor, BATCH))
        # What the reader has not seen yet is not told either: it looks after sessions first.
        return [_event(row) for row in rows if row.event <= newest]

    # -------------------------------------------------------------- typing

    def _follow(self, seat: Seat, event: Event) -> None:
        """Keeps the seat's list of conversations, for typing notes."""
        if event.type != "conversation" or event.addressee != seat.agent.id:
            return
        conversation = event.frame["conversation"]
        if conversation["control"] == "agent":
            seat.threads[conversation["thread"]] = conversation["id"]
        else:
            seat.threads.pop(conversation["thread"], None)
        self._watch()

    def _watch(self) -> None:
        """Listens to the threads that some seat follows, and to no other."""
        wanted = {thread for seat in self._seats for thread in seat.threads}
        for thread in wanted - self._watched.keys():
            self._watched[thread] = asyncio.create_task(self._listen(thread))
        for thread in self._watched.keys() - wanted:
            self._watched.pop(thread).cancel()

    async def _listen(self, thread: str) -> None:
        subscription = self.store.bus.subscribe(thread_topic(thread))
        try:
            while True:
                for note in await subscription.wait():
                    self._pass_on(thread, note)
        finally:
            subscription.close()

    def _pass_on(self, thread: str, note: Mapping[str, Any]) -> None:
        author = note.get("author")
        if (
            note.get("type") != "typing"
            or not isinstance(author, Mapping)
            or author.get("kind") != "customer"
        ):
            return
        for seat in self._seats:
            if thread in seat.threads:
                typing = {"type": "typing", "conversation": seat.threads[thread], "author": dict(author)}
                seat.notes.append(json.dumps(typing))
                seat.woken.set()


def _reset(last: int, now: int) -> str:
    return json.dumps({"event": last, "type": "reset", "at": rfc3339(now)})


@contextlib.asynccontextmanager
async def running(hub: Hub) -> Any:
    """Runs the hub's reader for as long as the context lasts."""
    task = asyncio.create_task(hub.run(), name="desk-stream")
    try:
        yield
    finally:
        hub.close_all()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
