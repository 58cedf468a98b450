"""The account directory over an SQL database: a SQLite file by default, or any address that SQLAlchemy knows."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    RowMapping,
    Select,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from actions import seed
from actions.directory import (
    Attempt,
    DirectoryError,
    Invoice,
    Method,
    Order,
    OrderState,
    Outcome,
    SampleCustomer,
    Shipment,
    Verification,
)
from actions.reading import normal_email, normal_postcode
from actions.tables import attempts, customers, invoices, metadata, orders, proofs, shipments

T = TypeVar("T")
Work = Callable[[Connection], T]

_WRITES = "foyer_writes"
_SEEDING_LOCK = (
    7_104_233  # PostgreSQL: held while one of several starting processes makes and fills the tables
)
_LOCK_WAIT_SECONDS = 0.5
_KEEP_ATTEMPTS = timedelta(days=1)
_THREADS = 4


@dataclass(frozen=True)
class Limits:
    """How many failed attempts are let through within `window`, across conversations.

    A source is cheap where a customer may begin new chats; an order and a proof are not.
    """

    per_order: int = 10
    per_source: int = 20
    per_proof: int = 10
    window: timedelta = timedelta(hours=1)


def default_url() -> str:
    """`FOYER_ACCOUNTS_URL`, or `accounts.db` in the installation's home (`FOYER_HOME`, or `var`)."""
    home = os.environ.get("FOYER_HOME") or "var"
    return os.environ.get("FOYER_ACCOUNTS_URL") or f"sqlite:///{home}/accounts.db"


def today() -> date:
    """The date by UTC."""
    return datetime.now(UTC).date()


class SqlDirectory:
    """`AccountDirectory` over SQL. Tables are made and filled on first use; nothing else writes but `verify`."""

    def __init__(self, url: str, limits: Limits | None = None, today: Callable[[], date] = today) -> None:
        self._database = _database(url)
        self._limits = limits or Limits()
        self._today = today
        self._ready = False
        self._preparing = asyncio.Lock()

    async def prepare(self) -> None:
        """Makes the tables and the sample accounts where they are missing; safe in several processes at once."""
        async with self._preparing:
            if self._ready:
                return
            await self._run(lambda connection: _prepare(connection, self._today()), write=True, prepared=True)
            self._ready = True

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._database.close()

    async def verify(self, attempt: Attempt) -> Verification:
        """See AccountDirectory. Limits are counted by `attempt.at`."""
        try:
            return await self._run(lambda connection: _verify(connection, attempt, self._limits), write=True)
        except DirectoryError as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
        # The same turn at the same moment: the other one's answer counts.
        return await self._run(lambda connection: _verify(connection, attempt, self._limits), write=True)

    async def verified_in_turn(self, turn: str) -> str | None:
        """See AccountDirectory."""
        query = select(attempts.c.customer).where(
            attempts.c.turn == turn, attempts.c.outcome == Outcome.VERIFIED
        )
        return await self._run(lambda connection: connection.execute(query).scalar())

    async def order(self, customer: str, number: str) -> Order | None:
        """See AccountDirectory."""
        return await self._run(
            lambda connection: _first_order(connection, _orders_of(customer).where(orders.c.number == number))
        )

    async def latest_order(self, customer: str) -> Order | None:
        """See AccountDirectory."""
        query = _orders_of(customer).order_by(orders.c.placed_on.desc(), orders.c.number.desc()).limit(1)
        return await self._run(lambda connection: _first_order(connection, query))

    async def invoices(self, customer: str) -> Sequence[Invoice]:
        """See AccountDirectory."""
        query = (
            select(invoices)
            .where(invoices.c.customer == customer)
            .order_by(invoices.c.due_on, invoices.c.number)
        )
        return await self._run(
            lambda connection: [_invoice(row) for row in connection.execute(query).mappings().all()]
        )

    async def sample(self, count: int) -> list[SampleCustomer]:
        """Some customers with an order each, of many states; the same ones every time. Reads only."""
        return await self._run(lambda connection: _sample(connection, count))

    async def _run(self, work: Work[T], *, write: bool = False, prepared: bool = False) -> T:
        try:
            if not (self._ready or prepared):
                await self.prepare()
            return await self._database.run(work, write)
        except (SQLAlchemyError, OSError) as error:
            raise DirectoryError(type(error).__name__) from error


class _Database(Protocol):
    async def run(self, work: Work[T], write: bool) -> T: ...

    async def close(self) -> None: ...


def _database(url: str) -> _Database:
    address = make_url(url)
    if address.drivername in ("postgresql", "postgres"):
        address = address.set(drivername="postgresql+asyncpg")
    if address.get_dialect().is_async:
        return _Async(create_async_engine(address, hide_parameters=True, pool_pre_ping=True))
    return _Threaded(_sqlite(address) if address.get_backend_name() == "sqlite" else _plain(address))


def _plain(address: URL) -> Engine:
    return create_engine(address, hide_parameters=True, pool_pre_ping=True)


def _sqlite(address: URL) -> Engine:
    if address.database and address.database != ":memory:":
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        address,
        hide_parameters=True,
        connect_args={"timeout": _LOCK_WAIT_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _own_transactions(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin too late, and never before a CREATE TABLE
        connection.execute("PRAGMA journal_mode=WAL")  # look-ups go on while something else writes

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class _Threaded:
    """A blocking driver, off the event loop. A call whose caller gave up ends in its thread, and is forgotten."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="accounts")

    async def run(self, work: Work[T], write: bool) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._blocking, work, write)

    def _blocking(self, work: Work[T], write: bool) -> T:
        with self._engine.connect().execution_options(**{_WRITES: write}) as connection, connection.begin():
            return work(connection)

    async def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._engine.dispose()


class _Async:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def run(self, work: Work[T], write: bool) -> T:
        async with self._engine.connect() as connection, connection.begin():
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()


def _prepare(connection: Connection, day: date) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SEEDING_LOCK})
    metadata.create_all(connection)
    seed.fill(connection, day)


def _verify(connection: Connection, attempt: Attempt, limits: Limits) -> Verification:
    _one_at_a_time(connection, attempt)
    before = connection.execute(select(attempts).where(attempts.c.turn == attempt.turn)).mappings().first()
    if before is not None:
        return _recorded(connection, before)
    at = attempt.at.timestamp()
    found = None
    if _too_many(connection, attempt, limits, at):
        outcome = Outcome.BLOCKED
    else:
        found = _matching_customer(connection, attempt)
        outcome = Outcome.VERIFIED if found else Outcome.REFUSED
    for table in (attempts, proofs):
        connection.execute(delete(table).where(table.c.at < at - _KEEP_ATTEMPTS.total_seconds()))
    connection.execute(
        insert(attempts).values(
            turn=attempt.turn,
            order_number=attempt.order_number,
            source=attempt.source,
            at=at,
            outcome=str(outcome),
            method=attempt.method,
            customer=found["id"] if found else None,
        )
    )
    connection.execute(
        insert(proofs).values(turn=attempt.turn, proof=_fingerprint(attempt), at=at, outcome=str(outcome))
    )
    return _verification(outcome, attempt.method, found)


def _one_at_a_time(connection: Connection, attempt: Attempt) -> None:
    """Attempts at one order, from one source or with one proof are counted one after the other, and always locked in
    this order. (SQLite has one writer anyway.)"""
    if connection.dialect.name == "postgresql":
        for key in (attempt.order_number, attempt.source or attempt.turn, _fingerprint(attempt)):
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:key))"), {"key": key})


def _recorded(connection: Connection, row: RowMapping) -> Verification:
    found = connection.execute(select(customers).where(customers.c.id == row["customer"])).mappings().first()
    return _verification(Outcome(row["outcome"]), row["method"], found)


def _verification(outcome: Outcome, method: Method, customer: RowMapping | None) -> Verification:
    if outcome != Outcome.VERIFIED or customer is None:
        return Verification(outcome, method)
    return Verification(outcome, method, customer=customer["id"], name=customer["name"])


def _too_many(connection: Connection, attempt: Attempt, limits: Limits, at: float) -> bool:
    recent = (
        select(func.count())
        .select_from(attempts)
        .where(attempts.c.outcome == str(Outcome.REFUSED), attempts.c.at > at - limits.window.total_seconds())
    )
    by_order = connection.execute(recent.where(attempts.c.order_number == attempt.order_number)).scalar_one()
    if (
        by_order >= limits.per_order
        or _failed_with_proof(connection, attempt, limits, at) >= limits.per_proof
    ):
        return True
    if attempt.source is None:
        return False
    by_source = connection.execute(recent.where(attempts.c.source == attempt.source)).scalar_one()
    return bool(by_source >= limits.per_source)


def _failed_with_proof(connection: Connection, attempt: Attempt, limits: Limits, at: float) -> int:
    query = (
        select(func.count())
        .select_from(proofs)
        .where(
            proofs.c.proof == _fingerprint(attempt),
            proofs.c.outcome == str(Outcome.REFUSED),
            proofs.c.at > at - limits.window.total_seconds(),
        )
    )
    return int(connection.execute(query).scalar_one())


def _fingerprint(attempt: Attempt) -> str:
    normal = normal_email if attempt.method == "email" else normal_postcode
    return hashlib.sha256(f"{attempt.method}:{normal(attempt.proof)}".encode(errors="replace")).hexdigest()


def _matching_customer(connection: Connection, attempt: Attempt) -> RowMapping | None:
    query = select(customers).join(orders, orders.c.customer == customers.c.id)
    owner = connection.execute(query.where(orders.c.number == attempt.order_number)).mappings().first()
    if attempt.method == "email":
        given, known = normal_email(attempt.proof), normal_email(owner["email"]) if owner else ""
    else:
        given, known = normal_postcode(attempt.proof), normal_postcode(owner["postcode"]) if owner else ""
    same = hmac.compare_digest(given.encode(), known.encode())
    return owner if same and owner else None


def _orders_of(customer: str) -> Select[Any]:
    parcel = [
        shipments.c.carrier,
        shipments.c.tracking,
        shipments.c.sent_on,
        shipments.c.delivered_on,
        shipments.c.trouble,
    ]
    joined = orders.outerjoin(shipments, shipments.c.order_number == orders.c.number)
    return select(orders, *parcel).select_from(joined).where(orders.c.customer == customer)


def _first_order(connection: Connection, query: Select[Any]) -> Order | None:
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    parcel = None
    if row["carrier"] is not None:
        parcel = Shipment(row["carrier"], row["tracking"], row["sent_on"], row["trouble"])
    return Order(
        number=row["number"],
        state=OrderState(row["state"]),
        placed_on=row["placed_on"],
        items=row["items"],
        total_pence=row["total_pence"],
        expected_on=row["expected_on"],
        delivered_on=row["delivered_on"],
        shipment=parcel,
    )


def _invoice(row: RowMapping) -> Invoice:
    return Invoice(
        number=row["number"],
        order=row["order_number"],
        issued_on=row["issued_on"],
        due_on=row["due_on"],
        amount_pence=row["amount_pence"],
        paid_pence=row["paid_pence"],
    )


def _sample(connection: Connection, count: int) -> list[SampleCustomer]:
    rank = func.row_number().over(partition_by=orders.c.state, order_by=orders.c.number).label("rank")
    ranked = select(orders.c.number, orders.c.state, orders.c.customer, rank).subquery()
    query = (
        select(customers, ranked.c.number, ranked.c.state)
        .join(ranked, ranked.c.customer == customers.c.id)
        .order_by(ranked.c.rank, ranked.c.number)
        .limit(count)
    )
    return [
        SampleCustomer(row["name"], row["email"], row["postcode"], row["number"], OrderState(row["state"]))
        for row in connection.execute(query).mappings()
    ]
