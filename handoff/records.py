"""Handoffs as rows: finding, locking and counting them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from conversations.errors import NotFound
from conversations.store import Transaction
from conversations.store.tables import OPEN_HANDOFF, QUEUED_HANDOFF, customers, handoffs

_COLUMNS = [column for column in handoffs.c if column.name != "context"]


@dataclass(frozen=True, slots=True)
class Handoff:
    """One handoff without its context. Its epoch is the conversation's, as long as it is open."""

    id: str
    account: str
    conversation_id: str
    thread_id: str
    customer_id: str
    customer_name: str | None
    channel: str
    epoch: int
    attempt: int
    state: str
    reason: str
    summary: str
    queue: str
    priority: int
    enqueued_at: int
    accepted_by: str | None
    accepted_by_name: str | None
    accepted_at: int | None
    ended_at: int | None
    disposition: str | None
    declined: Sequence[Mapping[str, Any]]

    @property
    def open(self) -> bool:
        return self.state in ("queued", "offered", "accepted")


def _selected() -> sa.Select[Any]:
    return sa.select(*_COLUMNS, customers.c.name.label("customer_name")).join(
        customers, customers.c.id == handoffs.c.customer_id
    )


def find(tx: Transaction, handoff: str) -> Handoff:
    """Raises NotFound."""
    row = tx.conn.execute(_selected().where(handoffs.c.id == handoff)).one_or_none()
    if row is None:
        raise NotFound("there is no such handoff")
    return Handoff(**row._mapping)


def lock(tx: Transaction, handoff: str) -> Handoff:
    """The handoff, locked; its thread and conversation must be locked already. Raises NotFound."""
    tx.conn.execute(sa.select(handoffs.c.id).where(handoffs.c.id == handoff).with_for_update())
    return find(tx, handoff)


def open_of(tx: Transaction, conversation: str) -> Handoff | None:
    """The conversation's open handoff, locked."""
    query = sa.select(handoffs.c.id).where(handoffs.c.conversation_id == conversation, sa.text(OPEN_HANDOFF))
    found = tx.conn.execute(query.with_for_update()).scalar()
    return None if found is None else find(tx, found)


def context_of(tx: Transaction, handoff: str) -> dict[str, Any]:
    """The context as it was stored."""
    found: dict[str, Any] = tx.conn.execute(
        sa.select(handoffs.c.context).where(handoffs.c.id == handoff)
    ).scalar_one()
    return found


def count_of(tx: Transaction, conversation: str) -> int:
    """How many handoffs the conversation has had."""
    query = sa.select(sa.func.count()).where(handoffs.c.conversation_id == conversation)
    return int(tx.conn.execute(query).scalar_one())


def update(tx: Transaction, handoff: str, **values: Any) -> Handoff:
    """Writes fields of a handoff that this transaction has locked."""
    tx.conn.execute(sa.update(handoffs).where(handoffs.c.id == handoff).values(values))
    return find(tx, handoff)


def visible(tx: Transaction, agent: str, queues: Collection[str] | None) -> Sequence[Handoff]:
    """Open handoffs, those to be taken first in front: the agent's own and those waiting in `queues`; None: every one."""
    query = _selected().where(sa.text(OPEN_HANDOFF))
    if queues is not None:
        waiting = sa.and_(sa.text(QUEUED_HANDOFF), handoffs.c.queue.in_(queues))
        query = query.where(sa.or_(waiting, handoffs.c.accepted_by == agent))
    rows = tx.conn.execute(
        query.order_by(handoffs.c.priority.desc(), handoffs.c.enqueued_at, handoffs.c.id)
    ).all()
    return [Handoff(**row._mapping) for row in rows]


def waiting_behind(tx: Transaction, left: Handoff) -> Sequence[str]:
    """The threads that waited behind this handoff in its queue."""
    key = sa.tuple_(-handoffs.c.priority, handoffs.c.enqueued_at, handoffs.c.id)
    mine = sa.tuple_(sa.literal(-left.priority), sa.literal(left.enqueued_at), sa.literal(left.id))
    query = sa.select(handoffs.c.thread_id).where(
        sa.text(QUEUED_HANDOFF), handoffs.c.queue == left.queue, key > mine
    )
    return list(tx.conn.execute(query).scalars())


def queue_length(tx: Transaction, queue: str) -> tuple[int, int | None]:
    """How many wait in the queue, and since when the longest waiting one does."""
    query = sa.select(sa.func.count(), sa.func.min(handoffs.c.enqueued_at)).where(
        sa.text(QUEUED_HANDOFF), handoffs.c.queue == queue
    )
    count, oldest = tx.conn.execute(query).one()
    return int(count), oldest


def positions(waiting: Sequence[Handoff]) -> dict[str, int]:
    """The place of each queued handoff in its queue, from 1; `waiting` holds whole queues in order."""
    counts: dict[str, int] = {}
    places: dict[str, int] = {}
    for handoff in waiting:
        if handoff.state == "queued":
            places[handoff.id] = counts[handoff.queue] = counts.get(handoff.queue, 0) + 1
    return places
