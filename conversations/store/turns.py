"""Turns: claiming due conversations under a lease, and freezing what each turn is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ..control import Control
from ..messages import AuthorKind, new_id
from . import conversations as episodes
from .conversations import Conversation
from .engine import Transaction
from .tables import conversations, customers, messages, threads, turns


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn that one worker holds until its lease ends. The input is frozen: a retry asks the same under the same id."""

    turn: str
    lease: str
    attempt: int
    asked_at: int
    conversation: Conversation
    address: str
    locale: str | None
    customer_name: str | None
    input_seq: int
    input_message: str
    text: str
    choice: str | None


def claim(tx: Transaction, limit: int, lease_ms: int) -> Sequence[Claim]:
    """Takes up to `limit` due conversations, each with its next message that was not yet answered.

    A claimed conversation is due again when its lease ends, so a worker that dies loses nothing.
    """
    query = (
        sa.select(conversations)
        .where(conversations.c.due_at <= tx.now)
        .order_by(conversations.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claims = (_freeze(tx, episodes.from_row(row), lease_ms) for row in tx.conn.execute(query).all())
    return [claim for claim in claims if claim is not None]


def next_due(tx: Transaction) -> int | None:
    """When the next conversation is due, in milliseconds since 1970."""
    moment: int | None = tx.conn.execute(
        sa.select(sa.func.min(conversations.c.due_at)).where(conversations.c.due_at.is_not(None))
    ).scalar()
    return moment


def release_all(tx: Transaction) -> int:
    """Makes every leased conversation due now, and what is due later too: the clock may have been set back since.

    For a store that only this process uses, at its start.
    """
    waiting = sa.or_(conversations.c.lease.is_not(None), conversations.c.due_at > tx.now)
    done = tx.conn.execute(
        sa.update(conversations)
        .where(conversations.c.due_at.is_not(None), waiting)
        .values(lease=None, due_at=tx.now)
    )
    return done.rowcount


def unanswered(tx: Transaction, conversation: Conversation) -> sa.Row[Any] | None:
    """The customer's first message behind what was taken already."""
    query = (
        sa.select(messages.c.id, messages.c.seq, messages.c.content, messages.c.choice)
        .where(
            messages.c.thread_id == conversation.thread_id,
            messages.c.seq > conversation.consumed_seq,
            messages.c.author_kind == AuthorKind.CUSTOMER.value,
        )
        .order_by(messages.c.seq)
        .limit(1)
    )
    return tx.conn.execute(query).one_or_none()


def _freeze(tx: Transaction, conversation: Conversation, lease_ms: int) -> Claim | None:
    waiting = None if conversation.control is not Control.ASSISTANT else unanswered(tx, conversation)
    if waiting is None:
        episodes.update(tx, conversation, due_at=None, lease=None)
        return None
    turn = _turn(tx, conversation, waiting.seq)
    lease = new_id()
    until = tx.now + lease_ms
    conversation = episodes.update(tx, conversation, lease=lease, due_at=until)
    thread = tx.conn.execute(
        sa.select(threads.c.address, threads.c.locale, customers.c.name)
        .join(customers, customers.c.id == threads.c.customer_id)
        .where(threads.c.id == conversation.thread_id)
    ).one()
    return Claim(
        turn=turn["id"],
        lease=lease,
        attempt=turn["attempts"],
        asked_at=turn["asked_at"],
        conversation=conversation,
        address=thread.address,
        locale=thread.locale,
        customer_name=thread.name,
        input_seq=waiting.seq,
        input_message=waiting.id,
        text=waiting.content["text"],
        choice=waiting.choice,
    )


def _turn(tx: Transaction, conversation: Conversation, seq: int) -> Mapping[str, Any]:
    query = sa.select(turns).where(turns.c.conversation_id == conversation.id, turns.c.input_seq == seq)
    row = tx.conn.execute(query).one_or_none()
    if row is None:
        values = {
            "id": new_id(),
            "conversation_id": conversation.id,
            "input_seq": seq,
            "epoch": conversation.epoch,
            "state_version": conversation.state_version,
            "status": "asked",
            "attempts": 1,
            "asked_at": tx.now,
        }
        tx.conn.execute(sa.insert(turns).values(values))
        return values
    again = {"attempts": row.attempts + 1, "epoch": conversation.epoch}
    tx.conn.execute(sa.update(turns).where(turns.c.id == row.id).values(again))
    return dict(row._mapping) | again


def finish(
    tx: Transaction,
    turn: str,
    status: str,
    result: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """Ends a turn as `committed` or `failed`, with what it found out; `asked`: it will be asked again."""
    values: dict[str, Any] = {"status": status, "finished_at": tx.now, "error": error}
    if result is not None:
        values["result"] = dict(result)
    tx.conn.execute(sa.update(turns).where(turns.c.id == turn).values(values))


def outdate(tx: Transaction, turn: str, result: Mapping[str, Any]) -> None:
    """Ends a turn that came too late, with what it found out; one that another worker ended stays as it is."""
    values = {"status": "outdated", "finished_at": tx.now, "error": None, "result": dict(result)}
    tx.conn.execute(sa.update(turns).where(turns.c.id == turn, turns.c.status == "asked").values(values))


def of_conversation(tx: Transaction, conversation: str) -> Sequence[sa.Row[Any]]:
    """The conversation's turns, oldest first: `id, input_seq, status, attempts, asked_at, finished_at, error, result`."""
    query = sa.select(turns).where(turns.c.conversation_id == conversation).order_by(turns.c.input_seq)
    return tx.conn.execute(query).all()
