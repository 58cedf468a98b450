"""Timers as rows: they outlive every process, and are checked again in the transaction that fires them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from .engine import Transaction
from .tables import timers


@dataclass(frozen=True, slots=True)
class Timer:
    """Something that comes due for a conversation; with an `epoch`, only while that epoch lasts."""

    id: str
    kind: str
    conversation_id: str
    epoch: int | None
    attempt: int
    due_at: int


def take_due(tx: Transaction, limit: int) -> Sequence[Timer]:
    """Takes up to `limit` due timers away; they come back if this transaction does not commit."""
    query = (
        sa.select(timers)
        .where(timers.c.due_at <= tx.now)
        .order_by(timers.c.due_at, timers.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    due = [Timer(**row._mapping) for row in tx.conn.execute(query).all()]
    if due:
        tx.conn.execute(sa.delete(timers).where(timers.c.id.in_([t.id for t in due])))
    return due


def next_due(tx: Transaction) -> int | None:
    """When the next timer is due, in milliseconds since 1970."""
    moment: int | None = tx.conn.execute(sa.select(sa.func.min(timers.c.due_at))).scalar()
    return moment
