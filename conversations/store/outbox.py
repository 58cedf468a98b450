"""The outbox: what must be sent, in order within a thread. Only the head of each thread's line can be claimed, so the
cost of claiming does not grow with the backlog or with what was sent before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ..bus import OUTBOX, thread_topic
from ..messages import AuthorKind, Outbound, Status, new_id
from . import messages as transcript
from . import threads
from .engine import DeskEvent, Transaction
from .tables import OUTBOX_HEAD, OUTBOX_WAITING, conversations, messages, outbox
from .tables import threads as threads_table


@dataclass(frozen=True, slots=True)
class Parcel:
    """An outbox row that one worker holds until its lease ends."""

    id: str
    lease: str
    attempt: int
    expired: bool
    interrupted: bool
    message: Outbound


def claim(
    tx: Transaction,
    channels: Sequence[str],
    limit: int,
    lease_ms: int,
    paused: Sequence[tuple[str, str]] = (),
) -> Sequence[Parcel]:
    """Takes up to `limit` heads that are due on these channels, but of no paused `(channel, account)`.

    `interrupted`: a worker that held it before died while sending, so it may have been sent.
    """
    query = (
        sa.select(outbox)
        .where(
            sa.text(OUTBOX_HEAD),
            outbox.c.due_at <= tx.now,
            outbox.c.channel.in_(channels),
            *(~((outbox.c.channel == c) & (outbox.c.account == a)) for c, a in paused),
        )
        .order_by(outbox.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_take(tx, row, lease_ms) for row in tx.conn.execute(query).all()]


def next_due(tx: Transaction) -> int | None:
    """When the next head of a line is due, in milliseconds since 1970."""
    moment: int | None = tx.conn.execute(
        sa.select(sa.func.min(outbox.c.due_at)).where(sa.text(OUTBOX_HEAD))
    ).scalar()
    return moment


def _take(tx: Transaction, row: sa.Row[tuple[object, ...]], lease_ms: int) -> Parcel:
    lease = new_id()
    tx.conn.execute(
        sa.update(outbox)
        .where(outbox.c.id == row.id)
        .values(status="taken", lease=lease, due_at=tx.now + lease_ms, attempts=row.attempts + 1)
    )
    address: str = tx.conn.execute(
        sa.select(threads_table.c.address).where(threads_table.c.id == row.thread_id)
    ).scalar_one()
    stored = transcript.from_row(
        tx.conn.execute(sa.select(messages).where(messages.c.id == row.message_id)).one()
    )
    message = Outbound(
        id=stored.id,
        account=row.account,
        channel=row.channel,
        address=address,
        thread=row.thread_id,
        seq=row.seq,
        author=stored.author,
        content=stored.content,
    )
    expired = row.expires_at is not None and row.expires_at <= tx.now and row.status == "pending"
    return Parcel(row.id, lease, row.attempts + 1, expired, row.status == "taken", message)


def finish(
    tx: Transaction, parcel: Parcel, status: Status, provider_id: str | None = None, error: str | None = None
) -> bool:
    """A final outcome: the thread's next message becomes its head. False when the parcel is no longer ours."""
    threads.lock(tx, parcel.message.thread)
    done = tx.conn.execute(
        sa.update(outbox)
        .where(outbox.c.id == parcel.id, outbox.c.lease == parcel.lease, outbox.c.status == "taken")
        .values(
            status=status.value,
            head=False,
            lease=None,
            provider_id=provider_id,
            error=error,
            finished_at=tx.now,
        )
    )
    if done.rowcount != 1:
        return False
    _mark(tx, parcel.message.id, status)
    _promote(tx, parcel.message.thread)
    return True


def postpone(tx: Transaction, parcel: Parcel, delay_ms: int, error: str | None = None) -> None:
    """Certainly not sent: to be tried again after `delay_ms`."""
    tx.conn.execute(
        sa.update(outbox)
        .where(outbox.c.id == parcel.id, outbox.c.lease == parcel.lease, outbox.c.status == "taken")
        .values(status="pending", lease=None, due_at=tx.now + delay_ms, error=error)
    )


def withdraw(tx: Transaction, thread: str, author: AuthorKind) -> int:
    """Takes back what this kind of author said and no worker has taken up; the thread must be locked. Returns how many."""
    query = sa.select(outbox.c.id, outbox.c.message_id).where(
        outbox.c.thread_id == thread,
        outbox.c.status == "pending",
        outbox.c.author_kind == author.value,
    )
    rows = tx.conn.execute(query.with_for_update()).all()
    for row in rows:
        tx.conn.execute(
            sa.update(outbox)
            .where(outbox.c.id == row.id)
            .values(status=Status.WITHDRAWN.value, head=False, finished_at=tx.now)
        )
        _mark(tx, row.message_id, Status.WITHDRAWN)
    if rows:
        _promote(tx, thread)
    return len(rows)


def _promote(tx: Transaction, thread: str) -> None:
    line = (
        sa.select(outbox.c.id, outbox.c.head)
        .where(outbox.c.thread_id == thread, sa.text(OUTBOX_WAITING))
        .order_by(outbox.c.seq)
        .limit(1)
    )
    first = tx.conn.execute(line).one_or_none()
    if first is not None and not first.head:
        tx.conn.execute(sa.update(outbox).where(outbox.c.id == first.id).values(head=True))
        tx.wake(OUTBOX)


def _mark(tx: Transaction, message: str, status: Status) -> None:
    """Shows the outcome on the message, and to the desk where people are concerned with the conversation."""
    tx.conn.execute(sa.update(messages).where(messages.c.id == message).values(status=status.value))
    row = tx.conn.execute(
        sa.select(
            messages.c.seq,
            messages.c.thread_id,
            conversations.c.id,
            conversations.c.agent_id,
            conversations.c.queue,
            conversations.c.control,
        )
        .join(conversations, conversations.c.id == messages.c.conversation_id)
        .where(messages.c.id == message)
    ).one()
    tx.wake(thread_topic(row.thread_id))
    if row.control in ("queue", "agent"):
        body = {"conversation": row.id, "seq": row.seq, "status": status.value}
        tx.emit(DeskEvent("update", body, row.queue, row.agent_id))
