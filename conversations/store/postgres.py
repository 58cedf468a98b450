"""PostgreSQL: a transaction per job. Jobs run on a greenlet over asyncpg, so they are written once for both databases."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..errors import StoreUnavailable
from ..ports import Bus
from .engine import Clock, Job, T, Transaction, brief

RETRIES = 5
"""Times a transaction is run again after a deadlock."""


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
            except sa.exc.DBAPIError as error:
                if not _again(error) or attempt == RETRIES - 1:
                    raise _unavailable(error) from error
            except Exception as error:
                if not no_connection(error):
                    raise
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
        except sa.exc.DBAPIError as error:
            raise _unavailable(error) from error
        except Exception as error:
            if not no_connection(error):
                raise
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


def no_connection(error: Exception) -> bool:
    """Whether no connection could be had. A server that lets nobody in is told of by the driver's own errors, which
    SQLAlchemy wraps only once there is a connection; the driver is loaded for PostgreSQL alone, so they are known by name.
    """
    return isinstance(error, OSError | sa.exc.TimeoutError) or type(error).__module__.startswith("asyncpg.")


def _again(error: sa.exc.DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in _RETRY_STATES


# Data, constraints and statements that the server cannot take (classes 21 to 23, 42): it would not take them later either.
_MISTAKES = {"21", "22", "23", "42"}


def _unavailable(error: sa.exc.DBAPIError) -> Exception:
    """Failures of the connection or the server are ours to name; a violated constraint stays what it is."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    # The driver itself refuses values of a wrong type, with a ValueError of its own.
    refused = isinstance(getattr(error.orig, "__cause__", None), ValueError)
    mistakes = sa.exc.IntegrityError | sa.exc.ProgrammingError | sa.exc.DataError
    if refused or state[:2] in _MISTAKES or isinstance(error, mistakes):
        return error
    return StoreUnavailable(brief(error))
