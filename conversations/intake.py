"""Accepting what customers write: one transaction, and whatever it commits will be answered or forwarded, once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import sqlalchemy as sa

from . import bus
from .errors import IdReused, NotOffered
from .masking import mask
from .messages import Accepted, Author, AuthorKind, Inbound, Text, clean_text
from .store import conversations, messages, threads
from .store.engine import Transaction
from .store.messages import Draft
from .store.tables import conversations as conversations_table
from .store.tables import seen_events

# Made once: building a statement costs more than running it.
_SEEN = sa.select(seen_events).where(
    seen_events.c.account == sa.bindparam("account"),
    seen_events.c.kind == sa.bindparam("kind"),
    seen_events.c.event_id == sa.bindparam("event"),
)
_REMEMBER = sa.insert(seen_events)
_MAKE_DUE = (
    sa.update(conversations_table)
    .where(conversations_table.c.id == sa.bindparam("conversation"), conversations_table.c.due_at.is_(None))
    .values(due_at=sa.bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class Intake:
    """Stores inbound messages. `silence_ms`: how long a conversation may be silent before it is closed."""

    silence_ms: int = 24 * 3600 * 1000

    def accept(self, tx: Transaction, inbound: Inbound) -> Accepted:
        """Stores one message: finds or makes thread, customer and open conversation, numbers it, and makes it due.

        The same event again gives the first answer again, marked as a duplicate.

        Raises:
            IdReused: the event's id was used for another content.
            NotOffered: the choice it takes was never offered there.
        """
        inbound = replace(inbound, text=mask(clean_text(inbound.text)))
        thread = threads.lock_or_create(tx, inbound.sender)
        seen = _seen(tx, inbound)
        if seen is not None:
            return seen
        draft = _draft(tx, thread, inbound)
        conversation = conversations.open_in(tx, thread.id) or conversations.begin(
            tx, thread, self.silence_ms
        )
        message = messages.append(tx, thread, conversation, draft)
        if not conversation.attended:
            _make_due(tx, conversation)
        accepted = Accepted(thread.id, conversation.id, message.id, message.seq or 0)
        _remember(tx, inbound, accepted)
        return accepted


def _seen(tx: Transaction, inbound: Inbound) -> Accepted | None:
    event = {"account": inbound.sender.account, "kind": inbound.kind, "event": inbound.event_id}
    row = tx.conn.execute(_SEEN, event).one_or_none()
    if row is None:
        return None
    if row.fingerprint != inbound.fingerprint():
        raise IdReused("this id was used for another message; the first one stands")
    return Accepted(row.thread_id, row.conversation_id, row.message_id, row.seq, duplicate=True)


def _remember(tx: Transaction, inbound: Inbound, accepted: Accepted) -> None:
    tx.conn.execute(
        _REMEMBER,
        {
            "account": inbound.sender.account,
            "kind": inbound.kind,
            "event_id": inbound.event_id,
            "fingerprint": inbound.fingerprint(),
            "thread_id": accepted.thread,
            "conversation_id": accepted.conversation,
            "message_id": accepted.message,
            "seq": accepted.seq,
            "seen_at": tx.now,
        },
    )


def _draft(tx: Transaction, thread: threads.Thread, inbound: Inbound) -> Draft:
    author = Author(AuthorKind.CUSTOMER, inbound.sender.name, thread.customer_id)
    if inbound.choice is None:
        return Draft(author, Text(inbound.text), inbound.client_id)
    seq, payload = inbound.choice
    offer = messages.at(tx, thread.id, seq)
    choices = offer.content.choices if offer else ()
    title = next((c.title for c in choices if c.payload == payload), None)
    if title is None:
        raise NotOffered("this choice was not offered in that message")
    return Draft(author, Text(title), inbound.client_id, choice=payload)


def _make_due(tx: Transaction, conversation: conversations.Conversation) -> None:
    """Makes the conversation due now, unless a turn or its retry is under way: that one looks again when it ends."""
    tx.conn.execute(_MAKE_DUE, {"conversation": conversation.id, "now": tx.now})
    tx.wake(bus.TURNS)
