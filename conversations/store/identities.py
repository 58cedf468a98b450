"""Identities: addresses that customers proved to be theirs, such as the name under which a web site knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from .engine import Transaction
from .tables import conversations, handoffs, identities, threads
from .threads import Thread, insert_if_new


@dataclass(frozen=True, slots=True)
class Identity:
    """A proved address of a customer. `thread_id`: where their talk under it goes on. Times are milliseconds since 1970.

    `name`, `email` and `phone` are what the prover last said, as it said it.
    """

    account: str
    channel: str
    address: str
    customer_id: str
    thread_id: str
    method: str
    name: str | None
    email: str | None
    phone: str | None
    created_at: int
    verified_at: int


def find(tx: Transaction, account: str, channel: str, address: str) -> Identity | None:
    """The identity under this address."""
    table = identities
    return _one(tx, table.c.account == account, table.c.channel == channel, table.c.address == address)


def of_customer(tx: Transaction, customer_id: str) -> Sequence[Identity]:
    """Every identity of a customer, the oldest first."""
    query = sa.select(identities).where(identities.c.customer_id == customer_id)
    ordered = query.order_by(identities.c.created_at, identities.c.address)
    return [Identity(**row._mapping) for row in tx.conn.execute(ordered)]


def holder(tx: Transaction, thread: Thread) -> Identity | None:
    """Whose thread this is, by an identity on its own channel; None while nobody proved it."""
    table = identities
    return _one(
        tx,
        table.c.customer_id == thread.customer_id,
        table.c.account == thread.account,
        table.c.channel == thread.channel,
    )


def prove(
    tx: Transaction, thread: Thread, address: str, method: str, said: Mapping[str, str | None]
) -> Identity:
    """Notes that `address` was proved in `thread`, which must be locked and have no other holder.

    A new identity belongs to the thread's customer; a thread of nobody's joins the customer of a known one. `said` may
    hold `name`, `email` and `phone`.
    """
    details = {name: said.get(name) for name in ("name", "email", "phone")}
    key = {"account": thread.account, "channel": thread.channel, "address": address}
    fresh = key | details | {"customer_id": thread.customer_id, "thread_id": thread.id, "method": method}
    times = {"created_at": tx.now, "verified_at": tx.now}
    tx.conn.execute(insert_if_new(tx, identities).values(**fresh, **times))
    changes = details | {"thread_id": thread.id, "method": method, "verified_at": tx.now}
    mine = [identities.c[name] == value for name, value in key.items()]
    tx.conn.execute(sa.update(identities).where(*mine).values(**changes))
    found = find(tx, **key)
    assert found is not None  # noqa: S101 - inserted above, and identities are not deleted
    if found.customer_id != thread.customer_id:
        _join(tx, thread.id, found.customer_id)
    return found


def _join(tx: Transaction, thread_id: str, customer_id: str) -> None:
    """The thread, with all that was said in it, is another customer's from now on. The customer that it had stays."""
    for table, column in (
        (threads, threads.c.id),
        (conversations, conversations.c.thread_id),
        (handoffs, handoffs.c.thread_id),
    ):
        tx.conn.execute(sa.update(table).where(column == thread_id).values(customer_id=customer_id))


def _one(tx: Transaction, *where: sa.ColumnElement[bool]) -> Identity | None:
    query = sa.select(identities).where(*where).order_by(identities.c.created_at).limit(1)
    row = tx.conn.execute(query).one_or_none()
    return None if row is None else Identity(**row._mapping)
