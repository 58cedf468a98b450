"""An account database for each test: on SQLite, and on PostgreSQL where the contract is tested."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from actions.directory import SampleCustomer
from actions.sql_directory import SqlDirectory
from tests.actions.world import NOON


def today() -> date:
    return NOON.date()


@pytest.fixture
def sqlite_accounts(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'accounts.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def accounts_url(request: pytest.FixtureRequest, sqlite_accounts: str) -> Iterator[str]:
    """The address of a database without tables, once on each kind."""
    if request.param == "sqlite":
        yield sqlite_accounts
        return
    server = make_url(request.getfixturevalue("postgres_server")).set(drivername="postgresql+asyncpg")
    name = f"accounts_{uuid.uuid4().hex}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(server: sa.URL, statement: str) -> None:
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(sa.text(statement))
    await engine.dispose()


@pytest.fixture
async def either_directory(accounts_url: str) -> AsyncIterator[SqlDirectory]:
    """The directory on each database."""
    directory = SqlDirectory(accounts_url, today=today)
    yield directory
    await directory.close()


@pytest.fixture
async def directory(sqlite_accounts: str) -> AsyncIterator[SqlDirectory]:
    directory = SqlDirectory(sqlite_accounts, today=today)
    yield directory
    await directory.close()


@pytest.fixture
async def known(directory: SqlDirectory) -> SampleCustomer:
    """A customer with an order."""
    return (await directory.sample(7))[1]
