"""Sessions in the database: opening, resuming, ending, and checking that one still stands."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from conversations.bus import thread_topic
from conversations.errors import FoyerError
from conversations.messages import Sender
from conversations.store import Transaction, conversations, threads
from conversations.store.tables import chat_sessions
from conversations.store.tables import threads as threads_table

from .tokens import Claims

CHANNEL = "webchat"


class SessionEnded(FoyerError):
    """The session is not valid, has expired or was ended."""

    code = "session_expired"


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, and where its thread stands."""

    claims: Claims
    conversation: str | None
    last_seq: int


def create(tx: Transaction, session: str, sender: Sender, life_seconds: int) -> Opened:
    """A new session on the thread of `sender`, whose address nobody else knows."""
    thread = threads.lock_or_create(tx, sender)
    expires_at = _expiry(tx, life_seconds)
    tx.conn.execute(
        sa.insert(chat_sessions).values(
            id=session, thread_id=thread.id, created_at=tx.now, expires_at=expires_at
        )
    )
    return _opened(tx, Claims(session, thread.id, thread.account, expires_at), thread)


def resume(tx: Transaction, claims: Claims, account: str, locale: str | None, life_seconds: int) -> Opened:
    """The same session, living on from now.

    Raises:
        SessionEnded: it does not stand any more, or belongs to another account.
    """
    if claims.account != account:
        raise SessionEnded("this session belongs to another account")
    check(tx, claims)
    thread = threads.lock(tx, claims.thread)
    if locale is not None and locale != thread.locale:
        tx.conn.execute(sa.update(threads_table).where(threads_table.c.id == thread.id).values(locale=locale))
    expires_at = _expiry(tx, life_seconds)
    tx.conn.execute(
        sa.update(chat_sessions).where(chat_sessions.c.id == claims.session).values(expires_at=expires_at)
    )
    return _opened(tx, Claims(claims.session, thread.id, thread.account, expires_at), thread)


def check(tx: Transaction, claims: Claims) -> None:
    """Raises SessionEnded unless the session stands now, by the database's clock."""
    table = chat_sessions
    found = tx.conn.execute(
        sa.select(sa.literal(1)).where(
            table.c.id == claims.session,
            table.c.thread_id == claims.thread,
            table.c.revoked_at.is_(None),
            table.c.expires_at > tx.now,
        )
    ).scalar()
    if found is None or claims.expires_at <= tx.now:
        raise SessionEnded("this session has ended; open a new one")


def end(tx: Transaction, claims: Claims) -> None:
    """Ends the session for good and tells its sockets. Raises SessionEnded when it does not stand."""
    check(tx, claims)
    tx.conn.execute(
        sa.update(chat_sessions).where(chat_sessions.c.id == claims.session).values(revoked_at=tx.now)
    )
    tx.wake(thread_topic(claims.thread))


def sender_of(thread: threads.Thread) -> Sender:
    """How the thread's customer is known to the core."""
    return Sender(thread.account, CHANNEL, thread.address, locale=thread.locale, outbox=False)


def _expiry(tx: Transaction, life_seconds: int) -> int:
    """Whole seconds, because that is what a token holds."""
    return (tx.now // 1000 + life_seconds) * 1000


def _opened(tx: Transaction, claims: Claims, thread: threads.Thread) -> Opened:
    conversation = conversations.open_in(tx, thread.id)
    return Opened(claims, conversation.id if conversation else None, thread.last_seq)
