"""Runs plain, synchronous jobs in transactions: `await store.write(job)`, where `job(tx)` is the same over both databases.

On SQLite one writer thread runs the jobs that wait together in one transaction, each behind a savepoint, so that many
small commits cost one `fsync`. On PostgreSQL every job is a transaction of its own on an asyncpg connection.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..bus import LocalBus
from ..errors import StoreUnavailable
from ..ports import Bus
from . import tables

T = TypeVar("T")
Job = Callable[["Transaction"], T]

log = logging.getLogger(__name__)

GROUP = 256
"""Jobs that may share one commit on SQLite."""
RETRIES = 5
"""Times a transaction is run again after a deadlock or a lost connection on PostgreSQL."""

DESK_COUNTER = "desk"


@dataclass(slots=True)
class DeskEvent:
    """What the desk hears when the transaction commits: supervisors, and the agent, or (without one) the queue's agents,
    or (without both) everybody. A callable body is made under the lock of the events' counter, where everything that
    earlier events tell of is visible: so what it counts is right for its number."""

    type: str
    body: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    queue: str | None = None
    agent: str | None = None


@dataclass(slots=True)
class Transaction:
    """One unit of work. `now` is the database's clock when it began, in milliseconds since 1970."""

    conn: sa.Connection
    now: int
    wakes: dict[str, None] = field(default_factory=dict)
    events: list[DeskEvent] = field(default_factory=list)

    def wake(self, topic: str) -> None:
        """Publishes the topic on the bus once this transaction has committed."""
        self.wakes[topic] = None

    def emit(self, event: DeskEvent) -> None:
        """Adds a numbered desk event; numbers are given in commit order."""
        self.events.append(event)

    def flush_events(self) -> None:
        """Numbers and stores the events. The counter's row is the last lock taken, so numbers follow commits."""
        if not self.events:
            return
        counters = tables.counters
        last: int = self.conn.execute(
            sa.update(counters)
            .where(counters.c.name == DESK_COUNTER)
            .values(value=counters.c.value + len(self.events))
            .returning(counters.c.value)
        ).scalar_one()
        first = last - len(self.events) + 1
        rows = [
            {
                "event": first + i,
                "type": e.type,
                "at": self.now,
                "queue": e.queue,
                "agent_id": e.agent,
                "body": dict(e.body() if callable(e.body) else e.body),
            }
            for i, e in enumerate(self.events)
        ]
        self.conn.execute(sa.insert(tables.desk_events), rows)
        self.wake("desk")


class Store(Protocol):
    """Where the truth is kept. Jobs may be run more than once: they act on the transaction only."""

    bus: Bus
    dialect: str

    async def write(self, job: Job[T]) -> T:
        """Runs the job and commits; an exception of the job rolls it back and comes out here.

        Raises:
            StoreUnavailable: the database refused; nothing was stored.
        """
        ...

    async def read(self, job: Job[T]) -> T:
        """Runs a job that only reads, on one snapshot.

        Raises:
            StoreUnavailable: the database refused.
        """
        ...

    async def close(self) -> None: ...


Clock = Callable[[], int]


def system_clock() -> int:
    return time.time_ns() // 1_000_000


async def open_store(url: str, bus: Bus | None = None, clock: Clock | None = None) -> Store:
    """Opens the store behind `sqlite:///file` or `postgresql://...`; the schema must have been migrated.

    `clock` (milliseconds) replaces the database's clock in tests.
    """
    parsed = make_url(url)
    bus = bus or LocalBus()
    if parsed.get_backend_name() == "sqlite":
        return SqliteStore(parsed, bus, clock)
    return PostgresStore(parsed, bus, clock)


# ------------------------------------------------------------------ SQLite


def sqlite_engine(url: URL, busy_ms: int = 5000) -> sa.Engine:
    """An engine on which BEGIN is ours to say. `busy_ms`: how long to wait for another process's lock."""
    engine = sa.create_engine(
        url.set(drivername="sqlite+pysqlite"),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.pool.QueuePool,
        hide_parameters=True,  # an error's text would hold what customers wrote
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={busy_ms}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


@dataclass(slots=True)
class _Waiting:
    job: Job[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None
    wakes: list[str] = field(default_factory=list)

    def settle(self, bus: Bus) -> None:
        for topic in self.wakes:
            bus.publish(topic)
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class SqliteStore:
    """One file, one writer thread with group commits, readers beside it (WAL)."""

    dialect = "sqlite"

    def __init__(self, url: URL, bus: Bus, clock: Clock | None, busy_ms: int = 5000) -> None:
        self.bus = bus
        self._clock = clock or system_clock
        self._engine = sqlite_engine(url, busy_ms)
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="store-read")
        self._writer = threading.Thread(target=self._run, name="store-write", daemon=True)
        self._writer.start()
        self._closed = False

    async def write(self, job: Job[T]) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(job, loop, loop.create_future())
        self._queue.put(waiting)
        result: T = await waiting.future
        return result

    async def read(self, job: Job[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, job)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown()
        self._engine.dispose()

    def _read(self, job: Job[T]) -> T:
        try:
            with self._engine.connect() as conn:
                conn.exec_driver_sql("BEGIN")
                try:
                    return job(Transaction(conn, self._clock()))
                finally:
                    conn.exec_driver_sql("ROLLBACK")
        except sa.exc.OperationalError as error:
            raise StoreUnavailable(_brief(error)) from error

    def _run(self) -> None:
        conn: sa.Connection | None = None
        while (group := self._next_group()) is not None:
            try:
                conn = conn or self._engine.connect()
                self._run_group(conn, group)
            except Exception as error:
                log.warning("store: a group of %d jobs was refused: %s", len(group), _brief(error))
                self._refuse(group, error)
                conn = self._recover(conn)
            self._settle(group)
        if conn is not None:
            conn.close()

    def _next_group(self) -> list[_Waiting] | None:
        first = self._queue.get()
        if first is None:
            return None
        group = [first]
        while len(group) < GROUP:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                self._queue.put(None)
                break
            group.append(waiting)
        return group

    def _run_group(self, conn: sa.Connection, group: list[_Waiting]) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        for waiting in group:
            self._run_job(conn, waiting)
        conn.exec_driver_sql("COMMIT")

    def _run_job(self, conn: sa.Connection, waiting: _Waiting) -> None:
        if waiting.future.cancelled():
            return
        tx = Transaction(conn, self._clock())
        conn.exec_driver_sql("SAVEPOINT job")
        try:
            waiting.result = waiting.job(tx)
            tx.flush_events()
        except sa.exc.OperationalError:
            raise
        except Exception as error:
            waiting.error = error
            conn.exec_driver_sql("ROLLBACK TO job")
        else:
            waiting.wakes = list(tx.wakes)
        conn.exec_driver_sql("RELEASE job")

    @staticmethod
    def _refuse(group: list[_Waiting], error: Exception) -> None:
        for waiting in group:
            waiting.wakes = []
            if waiting.error is None:
                waiting.error = StoreUnavailable(_brief(error))
                waiting.error.__cause__ = error

    @staticmethod
    def _recover(conn: sa.Connection | None) -> sa.Connection | None:
        """Ends whatever transaction the failure left; a connection that can't is given up."""
        if conn is None:
            return None
        try:
            if conn.connection.in_transaction:
                conn.exec_driver_sql("ROLLBACK")
        except sa.exc.SQLAlchemyError:
            conn.invalidate()
            conn.close()
            return None
        return conn

    def _settle(self, group: list[_Waiting]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        for waiting in group:
            loops.setdefault(waiting.loop, []).append(waiting)
        for loop, members in loops.items():
            try:
                loop.call_soon_threadsafe(_settle_all, members, self.bus)
            except RuntimeError:  # the loop is closed: nobody waits any more
                log.info("store: %d results came after their loop had closed", len(members))


def _settle_all(group: list[_Waiting], bus: Bus) -> None:
    for waiting in group:
        waiting.settle(bus)


# -------------------------------------------------------------- PostgreSQL


def postgres_url(url: URL) -> URL:
    """The same database through asyncpg."""
    return url.set(drivername="postgresql+asyncpg")


class PostgresStore:
    """A transaction per job; jobs run on a greenlet over asyncpg, so they are written once for both databases."""

    dialect = "postgresql"

    def __init__(self, url: URL, bus: Bus, clock: Clock | None) -> None:
        self.bus = bus
        self._clock = clock
        self._engine: AsyncEngine = create_async_engine(
            postgres_url(url),
            pool_size=10,
            max_overflow=10,
            pool_pre_ping=True,
            pool_timeout=10,
            hide_parameters=True,
        )

    async def write(self, job: Job[T]) -> T:
        for attempt in range(RETRIES):
            try:
                result, wakes = await self._once(job)
            except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.DBAPIError) as error:
                if not _again(error) or attempt == RETRIES - 1:
                    raise _unavailable(error) from error
            except (OSError, sa.exc.TimeoutError) as error:
                raise StoreUnavailable(type(error).__name__) from error
            else:
                for topic in wakes:
                    self.bus.publish(topic)
                return result
        raise StoreUnavailable("gave up after deadlocks")

    async def _once(self, job: Job[T]) -> tuple[T, list[str]]:
        def run(conn: sa.Connection) -> tuple[T, list[str]]:
            tx = Transaction(conn, self._now(conn))
            result = job(tx)
            tx.flush_events()
            return result, list(tx.wakes)

        async with self._engine.begin() as conn:
            return await conn.run_sync(run)

    async def read(self, job: Job[T]) -> T:
        def run(conn: sa.Connection) -> T:
            return job(Transaction(conn, self._now(conn)))

        try:
            async with self._engine.connect() as plain:
                conn = await plain.execution_options(isolation_level="REPEATABLE READ")
                return await conn.run_sync(run)
        except (OSError, sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise StoreUnavailable(type(error).__name__) from error

    def _now(self, conn: sa.Connection) -> int:
        if self._clock:
            return self._clock()
        moment: int = conn.execute(
            sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        ).scalar_one()
        return moment

    async def close(self) -> None:
        await self._engine.dispose()


# Deadlock, serialization failure (PostgreSQL, Appendix A: class 40).
_RETRY_STATES = {"40001", "40P01"}


def _again(error: sa.exc.DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in _RETRY_STATES


def _unavailable(error: sa.exc.DBAPIError) -> Exception:
    """Failures of the connection or the server are ours to name; a violated constraint stays what it is."""
    if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError | sa.exc.DataError):
        return error
    return StoreUnavailable(_brief(error))


def _brief(error: BaseException) -> str:
    """The driver's words without statement and parameters, which hold what customers wrote."""
    original = getattr(error, "orig", None) or error
    if isinstance(original, sqlite3.Error):
        return str(original)
    return type(original).__name__
