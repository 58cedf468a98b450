"""Brings a database to the current schema with Alembic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from ..errors import StoreUnavailable
from .engine import brief
from .postgres import no_connection, postgres_url
from .sqlite import sqlite_engine


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def head_revision() -> str:
    """The revision that this code needs."""
    return ScriptDirectory.from_config(_config()).get_heads()[0]


async def migrate(url: str) -> str:
    """Upgrades the database behind `url` to the newest schema, in one transaction; returns the revision reached.

    Raises:
        StoreUnavailable: the database can't be reached, is no database, is locked, or its disk is full.
    """
    await _on_connection(url, _upgrade)
    return head_revision()


async def current_revision(url: str) -> str | None:
    """The revision that the database is at; None for an empty one. Raises StoreUnavailable as `migrate` does."""
    found: list[str | None] = []
    await _on_connection(url, lambda conn: found.append(_revision(conn)))
    return found[0]


def _upgrade(conn: sa.Connection) -> None:
    config = _config()
    config.attributes["connection"] = conn
    command.upgrade(config, "head")


def _revision(conn: sa.Connection) -> str | None:
    return MigrationContext.configure(conn).get_current_revision()


async def _on_connection(url: str, job: Callable[[sa.Connection], None]) -> None:
    try:
        await _run(make_url(url), job)
    except (sa.exc.ProgrammingError, sa.exc.IntegrityError, sa.exc.DataError):
        raise  # a mistake of ours in a migration, not the database's
    except sa.exc.DBAPIError as error:
        raise StoreUnavailable(brief(error)) from error
    except Exception as error:
        if not no_connection(error):
            raise
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


async def _run(parsed: URL, job: Callable[[sa.Connection], None]) -> None:
    if parsed.get_backend_name() != "sqlite":
        engine = create_async_engine(postgres_url(parsed))
        try:
            async with engine.begin() as conn:
                # Two nodes that start together must not migrate together.
                await conn.execute(sa.text("SELECT pg_advisory_xact_lock(7046029254386353131)"))
                await conn.run_sync(job)
        finally:
            await engine.dispose()
        return
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    sync = sqlite_engine(parsed, busy_ms=30_000)
    try:
        with sync.connect() as plain:
            plain.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                job(plain)
            except BaseException:
                plain.exec_driver_sql("ROLLBACK")
                raise
            plain.exec_driver_sql("COMMIT")
    finally:
        sync.dispose()
