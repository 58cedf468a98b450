"""Threads and their customers."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..errors import NotFound
from ..messages import Sender, new_id
from .engine import Transaction
from .tables import customers, threads

# Made once: building a statement costs more than running it.
_FIND = sa.select(threads).where(threads.c.id == sa.bindparam("thread"))
_LOCK = _FIND.with_for_update()
_LOCK_ADDRESS = (
    sa.select(threads)
    .where(
        threads.c.account == sa.bindparam("account"),
        threads.c.channel == sa.bindparam("channel"),
        threads.c.address == sa.bindparam("address"),
    )
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class Thread:
    """One customer's stream on one channel address. `outbox`: replies are sent by a delivery worker."""

    id: str
    account: str
    channel: str
    provider: str
    address: str
    customer_id: str
    outbox: bool
    locale: str | None
    last_seq: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Customer:
    """Who writes. `directory_id` names them in the account system, once verified."""

    id: str
    account: str
    name: str | None
    directory_id: str | None
    created_at: int


def find(tx: Transaction, thread: str) -> Thread:
    """Raises NotFound."""
    return _one(tx, _FIND, thread)


def lock(tx: Transaction, thread: str) -> Thread:
    """The thread, locked until the end of the transaction. Whatever changes a thread or its conversations begins here,
    and takes further locks only in the order thread, conversation, handoff, event counter. Raises NotFound."""
    return _one(tx, _LOCK, thread)


def _one(tx: Transaction, query: sa.Select[tuple[object, ...]], thread: str) -> Thread:
    row = tx.conn.execute(query, {"thread": thread}).one_or_none()
    if row is None:
        raise NotFound("there is no such thread")
    return Thread(**row._mapping)


def lock_or_create(tx: Transaction, sender: Sender) -> Thread:
    """The thread of this address, made with a customer of its own when it is new; locked."""
    address = {"account": sender.account, "channel": sender.channel, "address": sender.address}
    row = tx.conn.execute(_LOCK_ADDRESS, address).one_or_none()
    if row is None:
        _create(tx, sender)
        row = tx.conn.execute(_LOCK_ADDRESS, address).one()
    return Thread(**row._mapping)


def _create(tx: Transaction, sender: Sender) -> None:
    """Makes thread and customer; leaves the thread that another transaction made meanwhile."""
    customer_id = new_id()
    tx.conn.execute(
        sa.insert(customers).values(
            id=customer_id, account=sender.account, name=sender.name, created_at=tx.now
        )
    )
    values = {
        "id": new_id(),
        "account": sender.account,
        "channel": sender.channel,
        "provider": sender.provider,
        "address": sender.address,
        "customer_id": customer_id,
        "outbox": sender.outbox,
        "locale": sender.locale,
        "last_seq": 0,
        "created_at": tx.now,
    }
    tx.conn.execute(insert_if_new(tx, threads).values(values))


def insert_if_new(tx: Transaction, table: sa.Table) -> sa.Insert:
    """An insert that leaves an existing row as it is."""
    if tx.conn.dialect.name == "sqlite":
        return sqlite_insert(table).on_conflict_do_nothing()
    return postgres_insert(table).on_conflict_do_nothing()


def customer(tx: Transaction, customer_id: str) -> Customer:
    """Raises NotFound."""
    row = tx.conn.execute(sa.select(customers).where(customers.c.id == customer_id)).one_or_none()
    if row is None:
        raise NotFound("there is no such customer")
    return Customer(**row._mapping)


def name_customer(tx: Transaction, customer_id: str, name: str | None, directory_id: str | None) -> None:
    """Notes who the customer proved to be."""
    values = {k: v for k, v in {"name": name, "directory_id": directory_id}.items() if v}
    if values:
        tx.conn.execute(sa.update(customers).where(customers.c.id == customer_id).values(values))
