"""Sessions in the database: opening, resuming, ending, and checking that one still stands."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa

from conversations.bus import thread_topic
from conversations.errors import FoyerError
from conversations.messages import Sender
from conversations.store import Transaction, conversations, identities, threads
from conversations.store.tables import chat_sessions
from conversations.store.tables import threads as threads_table

from .identity import Person
from .tokens import Claims

CHANNEL = "webchat"
METHOD = "signed"
"""How identities of this channel are proved."""


class SessionEnded(FoyerError):
    """The session is not valid, has expired or was ended."""

    code = "session_expired"


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, and where its thread stands."""

    claims: Claims
    conversation: str | None
    last_seq: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A session about to be opened, under an id of ours."""

    session: str
    account: str
    locale: str | None
    life_seconds: int


def create(tx: Transaction, session: str, sender: Sender, life_seconds: int) -> Opened:
    """A new session on the thread of `sender`, whose address nobody else knows."""
    return _begin(tx, session, threads.lock_or_create(tx, sender), life_seconds)


def _begin(tx: Transaction, session: str, thread: threads.Thread, life_seconds: int) -> Opened:
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
    return _prolong(tx, claims, threads.lock(tx, claims.thread), locale, life_seconds)


def _prolong(
    tx: Transaction, claims: Claims, thread: threads.Thread, locale: str | None, life_seconds: int
) -> Opened:
    if locale is not None and locale != thread.locale:
        tx.conn.execute(sa.update(threads_table).where(threads_table.c.id == thread.id).values(locale=locale))
    expires_at = _expiry(tx, life_seconds)
    tx.conn.execute(
        sa.update(chat_sessions).where(chat_sessions.c.id == claims.session).values(expires_at=expires_at)
    )
    return _opened(tx, Claims(claims.session, thread.id, thread.account, expires_at), thread)


def open_as(tx: Transaction, wanted: Wanted, person: Person, claims: Claims | None) -> Opened:
    """A session of `person`, whom the site vouches for; `claims` are of the session that the browser had before.

    Their own session goes on. A thread of nobody's becomes theirs, and every session that it had ends: somebody else may
    have kept one. A thread of another's is left alone, and they get their own: the one where they were last, or a new one.

    Raises:
        SessionEnded: another request gave the thread to somebody else at the same moment.
    """
    found = None if claims is None or claims.account != wanted.account else _standing(tx, claims)
    held = None if found is None else identities.holder(tx, found)
    if found is None or claims is None or (held is not None and held.address != person.sub):
        thread = _own_thread(tx, wanted, person)
        _prove(tx, thread, person)
        return _begin(tx, wanted.session, thread, wanted.life_seconds)
    thread = threads.lock(tx, found.id)
    check(tx, claims)
    _prove(tx, thread, person)
    if held is not None:
        return _prolong(tx, claims, thread, wanted.locale, wanted.life_seconds)
    _end_all(tx, thread.id)
    return _begin(tx, wanted.session, thread, wanted.life_seconds)


def _standing(tx: Transaction, claims: Claims) -> threads.Thread | None:
    """The session's thread, not locked: only one thread may be locked at a time."""
    try:
        check(tx, claims)
    except SessionEnded:
        return None
    return threads.find(tx, claims.thread)


def _own_thread(tx: Transaction, wanted: Wanted, person: Person) -> threads.Thread:
    known = identities.find(tx, wanted.account, CHANNEL, person.sub)
    if known is not None:
        return threads.lock(tx, known.thread_id)
    # The same address at every try, so that two requests at once make one thread.
    address = f"sub:{hashlib.blake2b(person.sub.encode(), digest_size=24).hexdigest()}"
    sender = Sender(wanted.account, CHANNEL, address, locale=wanted.locale, outbox=False)
    return threads.lock_or_create(tx, sender)


def _prove(tx: Transaction, thread: threads.Thread, person: Person) -> None:
    held = identities.holder(tx, thread)
    if held is not None and held.address != person.sub:
        raise SessionEnded("this session has ended; open a new one")
    said = {"name": person.name, "email": person.email, "phone": person.phone}
    identity = identities.prove(tx, thread, person.sub, METHOD, said)
    threads.name_customer(tx, identity.customer_id, person.name, None)


def _end_all(tx: Transaction, thread: str) -> None:
    table = chat_sessions
    standing = (table.c.thread_id == thread, table.c.revoked_at.is_(None))
    tx.conn.execute(sa.update(table).where(*standing).values(revoked_at=tx.now))
    tx.wake(thread_topic(thread))


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
