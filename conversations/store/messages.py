"""The transcript: appending to a thread and reading it, at a cost that does not depend on its length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ..bus import OUTBOX, thread_topic
from ..messages import Author, AuthorKind, Content, Message, Status, content_from_json, new_id
from .conversations import Conversation
from .engine import DeskEvent, Transaction
from .tables import AGENTS_MESSAGE, OUTBOX_WAITING, conversations, messages, outbox, threads
from .threads import Thread

REPLY_LIFE_MS = 10 * 60 * 1000
"""How long a reply of the assistant may wait in the outbox before it is too late to say it."""


# Made once: building a statement costs more than running it.
_NEXT_SEQ = (
    sa.update(threads)
    .where(threads.c.id == sa.bindparam("thread"))
    .values(last_seq=threads.c.last_seq + 1)
    .returning(threads.c.last_seq)
)
_TOUCH = (
    sa.update(conversations)
    .where(conversations.c.id == sa.bindparam("conversation"))
    .values(last_seq=sa.bindparam("seq"), active_at=sa.bindparam("now"))
)
_INSERT = sa.insert(messages)
_AFTER = (
    sa.select(messages)
    .where(messages.c.thread_id == sa.bindparam("thread"), messages.c.seq > sa.bindparam("after"))
    .order_by(messages.c.seq)
    .limit(sa.bindparam("most"))
)
_UNDERSTOOD = (
    sa.update(messages)
    .where(messages.c.id == sa.bindparam("message"))
    .values(understood=sa.bindparam("found", type_=messages.c.understood.type))
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message about to be appended."""

    author: Author
    content: Content
    client_id: str | None = None
    choice: str | None = None
    turn: str | None = None
    understood: Mapping[str, Any] | None = None


def append(tx: Transaction, thread: Thread, conversation: Conversation, draft: Draft) -> Message:
    """Gives the message the thread's next `seq` and stores it; what is to be sent goes into the outbox.

    The thread must be locked. The number is taken from the database, so several appends in one transaction may share
    one `Thread` value.
    """
    seq: int = tx.conn.execute(_NEXT_SEQ, {"thread": thread.id}).scalar_one()
    to_send = thread.outbox and draft.author.kind is not AuthorKind.CUSTOMER
    message = _insert(tx, conversation, draft, seq, Status.QUEUED if to_send else Status.SENT)
    tx.conn.execute(_TOUCH, {"conversation": conversation.id, "seq": seq, "now": tx.now})
    if to_send:
        _enqueue(tx, thread, message)
    if conversation.attended:
        tx.emit(_heard(conversation, message))
    tx.wake(thread_topic(thread.id))
    return message


def add_note(tx: Transaction, conversation: Conversation, draft: Draft) -> Message:
    """Stores what only the desk sees: it has an id and no `seq`."""
    message = _insert(tx, conversation, draft, None, Status.SENT)
    body = {"conversation": conversation.id, "message": message.for_desk()}
    tx.emit(DeskEvent("note", body, conversation.queue, conversation.agent_id))
    return message


def _heard(conversation: Conversation, message: Message) -> DeskEvent:
    body = {"conversation": conversation.id, "message": message.for_desk()}
    return DeskEvent("message", body, conversation.queue, conversation.agent_id)


def _insert(
    tx: Transaction, conversation: Conversation, draft: Draft, seq: int | None, status: Status
) -> Message:
    message = Message(
        id=new_id(),
        thread=conversation.thread_id,
        conversation=conversation.id,
        seq=seq,
        author=draft.author,
        content=draft.content,
        sent_at=tx.now,
        client_id=draft.client_id,
        choice=draft.choice,
        status=status.value,
        turn=draft.turn,
        understood=dict(draft.understood) if draft.understood else None,
    )
    tx.conn.execute(
        _INSERT,
        {
            "id": message.id,
            "account": conversation.account,
            "thread_id": message.thread,
            "conversation_id": message.conversation,
            "seq": seq,
            "author_kind": message.author.kind.value,
            "author_id": message.author.id,
            "author_name": message.author.name,
            "content": message.content.as_json(),
            "choice": message.choice,
            "client_id": message.client_id,
            "status": message.status,
            "sent_at": message.sent_at,
            "turn_id": message.turn,
            "understood": message.understood,
        },
    )
    return message


def _enqueue(tx: Transaction, thread: Thread, message: Message) -> None:
    waiting = tx.conn.execute(
        sa.select(sa.literal(1)).where(outbox.c.thread_id == thread.id, sa.text(OUTBOX_WAITING)).limit(1)
    ).scalar()
    expires = tx.now + REPLY_LIFE_MS if message.author.kind is AuthorKind.ASSISTANT else None
    tx.conn.execute(
        sa.insert(outbox).values(
            id=new_id(),
            account=thread.account,
            channel=thread.channel,
            thread_id=thread.id,
            message_id=message.id,
            seq=message.seq,
            author_kind=message.author.kind.value,
            status="pending",
            head=waiting is None,
            due_at=tx.now,
            attempts=0,
            expires_at=expires,
            created_at=tx.now,
        )
    )
    tx.wake(OUTBOX)


def from_row(row: sa.Row[Any]) -> Message:
    """A message from a row of its table."""
    return Message(
        id=row.id,
        thread=row.thread_id,
        conversation=row.conversation_id,
        seq=row.seq,
        author=Author(AuthorKind(row.author_kind), row.author_name, row.author_id),
        content=content_from_json(row.content),
        sent_at=row.sent_at,
        client_id=row.client_id,
        choice=row.choice,
        status=row.status,
        turn=row.turn_id,
        understood=row.understood,
    )


def after(tx: Transaction, thread: str, seq: int, limit: int) -> Sequence[Message]:
    """Up to `limit` messages that follow `seq`, oldest first."""
    rows = tx.conn.execute(_AFTER, {"thread": thread, "after": seq, "most": limit})
    return [from_row(row) for row in rows]


def before(tx: Transaction, thread: str, seq: int | None, limit: int) -> Sequence[Message]:
    """The last `limit` messages before `seq` (None: before the thread's end), oldest first."""
    query = sa.select(messages).where(messages.c.thread_id == thread, messages.c.seq.is_not(None))
    if seq is not None:
        query = query.where(messages.c.seq < seq)
    rows = tx.conn.execute(query.order_by(messages.c.seq.desc()).limit(limit)).all()
    return [from_row(row) for row in reversed(rows)]


def at(tx: Transaction, thread: str, seq: int) -> Message | None:
    """The thread's message with this number."""
    query = sa.select(messages).where(messages.c.thread_id == thread, messages.c.seq == seq)
    row = tx.conn.execute(query).one_or_none()
    return None if row is None else from_row(row)


def last_seq_of(tx: Transaction, conversation: Conversation, author: AuthorKind) -> int:
    """The number of this kind of author's last message in the conversation; 0 when there is none."""
    query = (
        sa.select(messages.c.seq)
        .where(
            messages.c.thread_id == conversation.thread_id,
            messages.c.seq >= conversation.first_seq,
            messages.c.author_kind == author.value,
        )
        .order_by(messages.c.seq.desc())
        .limit(1)
    )
    return tx.conn.execute(query).scalar() or 0


def of_conversation(tx: Transaction, conversation: Conversation, limit: int) -> Sequence[Message]:
    """The last `limit` messages of one conversation, oldest first, without notes."""
    query = (
        sa.select(messages)
        .where(
            messages.c.thread_id == conversation.thread_id,
            messages.c.seq >= conversation.first_seq,
            messages.c.seq <= conversation.last_seq,
        )
        .order_by(messages.c.seq.desc())
        .limit(limit)
    )
    return [from_row(row) for row in reversed(tx.conn.execute(query).all())]


def notes(tx: Transaction, conversation: str) -> Sequence[Message]:
    """The conversation's notes, oldest first."""
    query = (
        sa.select(messages)
        .where(messages.c.conversation_id == conversation, messages.c.seq.is_(None))
        .order_by(messages.c.id)
    )
    return [from_row(row) for row in tx.conn.execute(query)]


def by_agent(tx: Transaction, conversation: str, client_id: str) -> Message | None:
    """The agent's message or note under the id that the desk gave it."""
    query = sa.select(messages).where(
        messages.c.conversation_id == conversation,
        sa.text(AGENTS_MESSAGE),
        messages.c.client_id == client_id,
    )
    row = tx.conn.execute(query).one_or_none()
    return None if row is None else from_row(row)


def note_understood(tx: Transaction, message: str, understood: Mapping[str, Any]) -> None:
    """Keeps what the assistant understood beside the customer's message."""
    tx.conn.execute(_UNDERSTOOD, {"message": message, "found": dict(understood)})
