"""All sockets of this process: where they are found by thread, how many a thread may have, and two shared tasks.

One task looks at the database now and then for wake-ups that were lost; the other follows places in queues. So an idle
socket costs memory and no queries.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import sqlalchemy as sa
import structlog

from conversations import bus as topics
from conversations.control import Control
from conversations.store import Store, Transaction
from conversations.store.tables import (
    OPEN_CONVERSATION,
    QUEUED_HANDOFF,
    chat_sessions,
    conversations,
    handoffs,
    threads,
)
from conversations.store.views import ThreadView

log = structlog.get_logger(__name__)

BATCH = 400
"""Threads that one query of the sweep asks for."""
QUEUE_PAUSE_S = 0.25
"""Least time between two looks at the queues."""

GOING_AWAY = 1001
REPLACED = 4409


class Chat(Protocol):
    """A connected socket, as the hub sees it."""

    session: str
    thread: str
    view: ThreadView

    def refresh(self) -> None:
        """Looks at the thread soon."""

    def move(self, position: int) -> None:
        """Has another place in the queue."""

    def end(self, code: int) -> None:
        """Closes the socket soon."""


class Line(Protocol):
    """An open connection, greeted or not."""

    def end(self, code: int) -> None: ...


class Hub:
    """Registers sockets; `run` is to be kept running beside them. `count(n)` hears how many there are."""

    def __init__(
        self, store: Store, sweep_seconds: float, per_thread: int, count: Callable[[int], None]
    ) -> None:
        self._store = store
        self._sweep_seconds = sweep_seconds
        self._per_thread = per_thread
        self._count = count
        self._threads: dict[str, list[Chat]] = {}
        self._lines: set[Line] = set()
        self._quiet = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets = 0
        self._closing = False

    def add(self, chat: Chat) -> None:
        """Registers a socket; the thread's oldest goes when there are too many."""
        chats = self._threads.setdefault(chat.thread, [])
        chats.append(chat)
        self._changed(1)
        if len(chats) > self._per_thread:
            chats[0].end(REPLACED)
            self.remove(chats[0])

    def remove(self, chat: Chat) -> None:
        """Forgets a socket; one that is not registered any more is left alone."""
        chats = self._threads.get(chat.thread, [])
        if chat not in chats:
            return
        chats.remove(chat)
        if not chats:
            del self._threads[chat.thread]
        self._changed(-1)

    @contextlib.contextmanager
    def line(self, line: Line) -> Iterator[None]:
        """Knows of a connection from its beginning until it is closed."""
        self._lines.add(line)
        if self._closing:
            line.end(GOING_AWAY)
        try:
            yield
        finally:
            self._lines.discard(line)
            if not self._lines:
                self._quiet.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs something beside its caller, and keeps hold of it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def run(self) -> None:
        """Sweeps and follows queues until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep_forever())
            group.create_task(self._follow_queues())

    async def close(self, patience: float) -> None:
        """Tells every socket that this server goes away, and waits up to `patience` seconds for them."""
        self._closing = True
        for line in self._lines:
            line.end(GOING_AWAY)
        self._quiet.clear()
        if self._lines:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), patience)

    async def sweep(self) -> None:
        """Refreshes every socket that the database is ahead of."""
        chats = iter(self._all())
        while batch := list(islice(chats, BATCH)):
            known = await self._store.read(lambda tx, b=batch: _standing(tx, b))  # type: ignore[misc]
            for chat in batch:
                if known.outdated(chat):
                    chat.refresh()

    def _all(self) -> list[Chat]:
        return [chat for chats in self._threads.values() for chat in chats]

    def _changed(self, by: int) -> None:
        self._sockets += by
        self._count(self._sockets)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_seconds)
            with _kept_going("sweep"):
                await self.sweep()

    async def _follow_queues(self) -> None:
        subscription = self._store.bus.subscribe(topics.DESK)
        try:
            while True:
                await subscription.wait()
                with _kept_going("queues"):
                    await self._tell_places()
                await asyncio.sleep(QUEUE_PAUSE_S)
        finally:
            subscription.close()

    async def _tell_places(self) -> None:
        waiting = [chat for chat in self._all() if chat.view.control is Control.QUEUE]
        if not waiting:
            return
        places = await self._store.read(_places)
        for chat in waiting:
            position = places.get(chat.view.conversation or "")
            if position is not None and position != chat.view.position:
                chat.move(position)


@contextlib.contextmanager
def _kept_going(task: str) -> Iterator[None]:
    """A look that failed is made again later; the shared tasks must never end quietly."""
    try:
        yield
    except Exception as error:
        log.warning("webchat.look_failed", task=task, error=type(error).__name__)


class _Standing:
    """What the database holds of some threads and sessions."""

    def __init__(
        self, seqs: Mapping[str, int], epochs: Mapping[str, tuple[str, int]], sessions: Iterable[str]
    ) -> None:
        self._seqs = seqs
        self._epochs = epochs
        self._sessions = frozenset(sessions)

    def outdated(self, chat: Chat) -> bool:
        view = chat.view
        shown = (view.conversation, view.epoch) if view.conversation else None
        return (
            chat.session not in self._sessions
            or self._seqs.get(chat.thread) != view.last_seq
            or self._epochs.get(chat.thread) != shown
        )


def _standing(tx: Transaction, chats: Sequence[Chat]) -> _Standing:
    ids = list({chat.thread for chat in chats})
    seqs = tx.conn.execute(sa.select(threads.c.id, threads.c.last_seq).where(threads.c.id.in_(ids)))
    epochs = tx.conn.execute(
        sa.select(conversations.c.thread_id, conversations.c.id, conversations.c.epoch).where(
            conversations.c.thread_id.in_(ids), sa.text(OPEN_CONVERSATION)
        )
    )
    sessions = tx.conn.execute(
        sa.select(chat_sessions.c.id).where(
            chat_sessions.c.id.in_(list({chat.session for chat in chats})),
            chat_sessions.c.revoked_at.is_(None),
            chat_sessions.c.expires_at > tx.now,
        )
    ).scalars()
    return _Standing(
        {row.id: row.last_seq for row in seqs},
        {row.thread_id: (row.id, row.epoch) for row in epochs},
        list(sessions),
    )


def _places(tx: Transaction) -> dict[str, int]:
    """The place of every conversation that waits, as `views.queue_position` counts it."""
    place = sa.func.row_number().over(
        partition_by=handoffs.c.queue,
        order_by=(handoffs.c.priority.desc(), handoffs.c.enqueued_at, handoffs.c.id),
    )
    query = sa.select(handoffs.c.conversation_id, place.label("place")).where(sa.text(QUEUED_HANDOFF))
    return {row.conversation_id: row.place for row in tx.conn.execute(query)}
