"""What live screens show: a thread as its customer sees it, and the desk's numbered events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ..control import Control
from ..messages import Message, rfc3339
from . import conversations as episodes
from . import messages as transcript
from . import threads
from .engine import DESK_COUNTER, Transaction
from .tables import QUEUED_HANDOFF, counters, desk_events, handoffs


@dataclass(frozen=True, slots=True)
class ThreadView:
    """A thread at one moment. Comparing two of them tells a socket what to say; `first_seq` belongs to the conversation.

    `position` counts from 1 and is None unless the conversation waits in a queue. `episode` is the latest conversation,
    closed or not; `conversation` only an open one.
    """

    thread: str
    last_seq: int
    conversation: str | None
    first_seq: int | None
    control: Control
    epoch: int
    agent: str | None
    outcome: str | None
    position: int | None
    messages: tuple[Message, ...] = ()
    episode: str | None = None


def thread_view(tx: Transaction, thread_id: str, after: int, limit: int = 500) -> ThreadView:
    """The thread now, with up to `limit` messages behind `after`. Raises NotFound."""
    thread = threads.find(tx, thread_id)
    conversation = episodes.latest_in(tx, thread_id)
    found = tuple(transcript.after(tx, thread_id, after, limit)) if after < thread.last_seq else ()
    if conversation is None:
        return ThreadView(thread_id, thread.last_seq, None, None, Control.CLOSED, 0, None, None, None, found)
    waiting = conversation.control is Control.QUEUE
    return ThreadView(
        thread=thread_id,
        last_seq=thread.last_seq,
        conversation=conversation.id if conversation.control is not Control.CLOSED else None,
        first_seq=conversation.first_seq,
        control=conversation.control,
        epoch=conversation.epoch,
        agent=conversation.agent_name,
        outcome=conversation.outcome,
        position=queue_position(tx, conversation.id) if waiting else None,
        messages=found,
        episode=conversation.id,
    )


def queue_position(tx: Transaction, conversation_id: str) -> int | None:
    """The place in its queue of the conversation's handoff, from 1; None when it does not wait."""
    mine = tx.conn.execute(
        sa.select(handoffs.c.id, handoffs.c.queue, handoffs.c.priority, handoffs.c.enqueued_at).where(
            handoffs.c.conversation_id == conversation_id, sa.text(QUEUED_HANDOFF)
        )
    ).one_or_none()
    if mine is None:
        return None
    key = sa.tuple_(-handoffs.c.priority, handoffs.c.enqueued_at, handoffs.c.id)
    ahead = tx.conn.execute(
        sa.select(sa.func.count())
        .select_from(handoffs)
        .where(
            sa.text(QUEUED_HANDOFF),
            handoffs.c.queue == mine.queue,
            key < sa.tuple_(sa.literal(-mine.priority), sa.literal(mine.enqueued_at), sa.literal(mine.id)),
        )
    ).scalar_one()
    return int(ahead) + 1


def last_event(tx: Transaction) -> int:
    """The number of the newest desk event; 0 before the first."""
    value: int = tx.conn.execute(
        sa.select(counters.c.value).where(counters.c.name == DESK_COUNTER)
    ).scalar_one()
    return value


def oldest_event(tx: Transaction) -> int | None:
    """The number of the oldest desk event that is still kept."""
    value: int | None = tx.conn.execute(sa.select(sa.func.min(desk_events.c.event))).scalar()
    return value


def events_after(tx: Transaction, event: int, limit: int = 500) -> Sequence[sa.Row[Any]]:
    """Desk events behind number `event`, in commit order: `event, type, at, queue, agent_id, body`."""
    query = (
        sa.select(desk_events).where(desk_events.c.event > event).order_by(desk_events.c.event).limit(limit)
    )
    return tx.conn.execute(query).all()


def event_frame(row: sa.Row[Any]) -> dict[str, Any]:
    """The event as the desk's socket sends it."""
    return {"event": row.event, "type": row.type, "at": rfc3339(row.at)} | dict(row.body)
