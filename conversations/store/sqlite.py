"""SQLite: one file, one writer thread. Jobs that wait together share one commit, each behind a savepoint, so that many
small writes cost one `fsync`."""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from ..errors import StoreUnavailable
from ..ports import Bus
from .engine import Clock, Job, T, Transaction, brief, system_clock

log = logging.getLogger(__name__)

GROUP = 256
"""Jobs that may share one commit."""


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
            raise StoreUnavailable(brief(error)) from error

    def _run(self) -> None:
        conn: sa.Connection | None = None
        while (group := self._next_group()) is not None:
            try:
                conn = conn or self._engine.connect()
                self._run_group(conn, group)
            except Exception as error:
                log.warning("store: a group of %d jobs was refused: %s", len(group), brief(error))
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
                waiting.error = StoreUnavailable(brief(error))
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
