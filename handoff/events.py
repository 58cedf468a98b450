"""What the desk shows of handoffs, queues and conversations, and the numbered events that tell of their changes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from conversations.messages import AuthorKind, rfc3339
from conversations.store import Transaction, messages, threads, views
from conversations.store.conversations import Conversation
from conversations.store.engine import DeskEvent
from conversations.store.tables import agent_sessions, attempts, desk_events
from conversations.store.tables import messages as messages_table

from . import records
from .records import Handoff

KEPT_MS = 48 * 3600 * 1000
"""How long events are kept for desks that were away."""
STALE_MS = 24 * 3600 * 1000
MAX_PREVIEW = 140


def handoff_json(handoff: Handoff, position: int | None = None) -> dict[str, Any]:
    """The desk's Handoff. Optional fields are left out where they mean nothing."""
    body: dict[str, Any] = {
        "id": handoff.id,
        "conversation": handoff.conversation_id,
        "thread": handoff.thread_id,
        "channel": handoff.channel,
        "customer": {"id": handoff.customer_id, "name": handoff.customer_name},
        "state": handoff.state,
        "reason": handoff.reason,
        "summary": handoff.summary,
        "queue": handoff.queue,
        "priority": handoff.priority,
        "enqueued_at": rfc3339(handoff.enqueued_at),
        "attempt": handoff.attempt,
        "declined_by": [str(one["agent"]) for one in handoff.declined],
    }
    optional = {
        "accepted_by": handoff.accepted_by,
        "accepted_by_name": handoff.accepted_by_name,
        "accepted_at": _moment(handoff.accepted_at),
        "ended_at": _moment(handoff.ended_at),
        "disposition": handoff.disposition,
        "position": position,
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def conversation_json(tx: Transaction, conversation: Conversation) -> dict[str, Any]:
    """The desk's Conversation. `unread` counts what the customer wrote since a person last answered."""
    unread, since = _unanswered(tx, conversation)
    customer = threads.customer(tx, conversation.customer_id)
    handoff = records.open_of(tx, conversation.id) if conversation.attended else None
    body = {
        "id": conversation.id,
        "thread": conversation.thread_id,
        "channel": conversation.channel,
        "customer": {"id": customer.id, "name": customer.name},
        "control": conversation.control.value,
        "epoch": conversation.epoch,
        "opened_at": rfc3339(conversation.opened_at),
        "first_seq": conversation.first_seq,
        "last_seq": conversation.last_seq,
        "unread": unread,
        "waiting_since": _moment(since),
        "preview": _preview(tx, conversation),
        # No channel with a window for free-form messages is connected yet.
        "can_freeform": True,
    }
    optional = {
        "agent": conversation.agent_id,
        "agent_name": conversation.agent_name if conversation.agent_id else None,
        "handoff": handoff.id if handoff else None,
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def _unanswered(tx: Transaction, conversation: Conversation) -> tuple[int, int | None]:
    """How many messages of the customer no person has answered, and when the first of them was written."""
    answered = messages.last_seq_of(tx, conversation, AuthorKind.AGENT)
    query = sa.select(sa.func.count(), sa.func.min(messages_table.c.sent_at)).where(
        messages_table.c.thread_id == conversation.thread_id,
        messages_table.c.seq > max(answered, conversation.first_seq - 1),
        messages_table.c.seq <= conversation.last_seq,
        messages_table.c.author_kind == AuthorKind.CUSTOMER.value,
    )
    count, since = tx.conn.execute(query).one()
    return int(count), since


def _preview(tx: Transaction, conversation: Conversation) -> dict[str, Any] | None:
    last = messages.before(tx, conversation.thread_id, conversation.last_seq + 1, 1)
    if not last:
        return None
    shown = last[0].for_desk()
    return {
        "author": shown["author"],
        "text": last[0].content.text[:MAX_PREVIEW],
        "at": shown["sent_at"],
    }


def queue_json(tx: Transaction, queue: str) -> dict[str, Any]:
    """The desk's Queue: how many wait, and since when the first of them does."""
    waiting, oldest = records.queue_length(tx, queue)
    return {"name": queue, "waiting": waiting, "oldest_enqueued_at": _moment(oldest)}


def _moment(value: int | None) -> str | None:
    return None if value is None else rfc3339(value)


# ------------------------------------------------------------------- telling


def tell_queue(tx: Transaction, handoff: Handoff) -> None:
    """Tells the queue's agents of the handoff and of their queue, as both stand when this transaction commits."""

    def told() -> dict[str, Any]:
        position = views.queue_position(tx, handoff.conversation_id) if handoff.state == "queued" else None
        return {"handoff": handoff_json(handoff, position)}

    tx.emit(DeskEvent("handoff", told, queue=handoff.queue))
    tx.emit(DeskEvent("queue", lambda: {"queue": queue_json(tx, handoff.queue)}, queue=handoff.queue))


def tell_agent(tx: Transaction, handoff: Handoff, agent: str) -> None:
    """Tells one agent of a handoff that is, or was, theirs."""
    tx.emit(DeskEvent("handoff", {"handoff": handoff_json(handoff)}, agent=agent))


def tell_conversation(tx: Transaction, conversation: Conversation, agent: str) -> None:
    """Tells one agent of a conversation that became theirs, or is theirs no longer."""
    tx.emit(DeskEvent("conversation", {"conversation": conversation_json(tx, conversation)}, agent=agent))


# ------------------------------------------------------------------- purging


def purge(tx: Transaction) -> int:
    """Removes desk events older than 48 hours, with dead sessions and old log-in counts; returns how many events.

    Only events from the oldest on are taken, so that what remains has no gap.
    """
    oldest_kept = (
        sa.select(desk_events.c.event)
        .where(desk_events.c.at >= tx.now - KEPT_MS)
        .order_by(desk_events.c.event)
        .limit(1)
    )
    first = tx.conn.execute(oldest_kept).scalar()
    old = sa.true() if first is None else desk_events.c.event < first
    gone = tx.conn.execute(sa.delete(desk_events).where(old)).rowcount
    dead = sa.or_(
        agent_sessions.c.expires_at < tx.now - STALE_MS, agent_sessions.c.revoked_at < tx.now - STALE_MS
    )
    tx.conn.execute(sa.delete(agent_sessions).where(dead))
    tx.conn.execute(sa.delete(attempts).where(attempts.c.window_start < tx.now - STALE_MS))
    return int(gone)
