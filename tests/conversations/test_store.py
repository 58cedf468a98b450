"""The store: commits together or not at all, and says clearly when it can't."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import make_url

from conversations.bus import LocalBus
from conversations.errors import StoreUnavailable
from conversations.store import (
    Store,
    Transaction,
    current_revision,
    head_revision,
    migrate,
    open_store,
    views,
)
from conversations.store.chores import prune_sessions
from conversations.store.engine import DeskEvent
from conversations.store.sqlite import SqliteStore
from conversations.store.tables import attempts, chat_sessions, metadata
from tests.conversations.world import World


def _put(key: str) -> sa.Insert:
    return sa.insert(attempts).values(key=key, window_start=0, count=1)


def _keys(tx: Transaction) -> list[str]:
    return sorted(tx.conn.execute(sa.select(attempts.c.key)).scalars())


async def test_a_job_that_raises_leaves_nothing_and_its_neighbours_stand(store: Store) -> None:
    def fine(tx: Transaction) -> None:
        tx.conn.execute(_put("fine"))

    def poisonous(tx: Transaction) -> None:
        tx.conn.execute(_put("poison"))
        tx.emit(DeskEvent("note", {}))
        raise ValueError("poison")

    def twice(tx: Transaction) -> None:
        tx.conn.execute(_put("twice"))
        tx.conn.execute(_put("twice"))

    results = await asyncio.gather(
        *(store.write(job) for job in (fine, poisonous, twice)), return_exceptions=True
    )
    assert results[0] is None
    assert isinstance(results[1], ValueError)
    assert isinstance(results[2], sa.exc.IntegrityError)
    assert await store.read(_keys) == ["fine"]
    assert await store.read(views.last_event) == 0


async def test_events_are_numbered_in_commit_order_without_gaps(store: Store) -> None:
    async def write(i: int) -> None:
        def job(tx: Transaction) -> None:
            tx.emit(DeskEvent("note", {"i": i}))
            if i % 3 == 0:
                raise ValueError("rolled back")

        await store.write(job)

    await asyncio.gather(*(write(i) for i in range(30)), return_exceptions=True)
    events = await store.read(lambda tx: views.events_after(tx, 0))
    assert [e.event for e in events] == list(range(1, 21))
    assert await store.read(views.last_event) == 20


async def test_subscribers_are_woken_after_the_commit_and_not_by_a_rollback(sqlite_store: Store) -> None:
    heard = sqlite_store.bus.subscribe("topic")

    def job(tx: Transaction) -> None:
        tx.wake("topic")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it is ours
        await sqlite_store.write(job)
    sqlite_store.bus.publish("topic", {"sentinel": True})
    assert await heard.wait() == [{"sentinel": True}]
    await sqlite_store.write(lambda tx: tx.wake("topic"))
    async with asyncio.timeout(5):
        assert await heard.wait() == []


async def test_a_full_disk_is_said_and_nothing_is_acknowledged(sqlite_url: str) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    store = await open_store(sqlite_url, LocalBus())
    world = World(store)
    first = await world.says("before")

    def fill_up(tx: Transaction) -> None:
        pages = tx.conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.conn.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    await store.write(fill_up)
    outcomes = await asyncio.gather(*(world.says("x" * 4000) for _ in range(30)), return_exceptions=True)
    refused = [o for o in outcomes if isinstance(o, StoreUnavailable)]
    assert refused
    assert {type(o) for o in outcomes} <= {StoreUnavailable, type(first)}
    await store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA max_page_count=1000000").scalar_one())
    after = await world.says("after")
    stored = [m.seq for m in await world.transcript()]
    assert stored == list(range(1, after.seq + 1))
    assert len(stored) == 2 + len(outcomes) - len(refused)
    await store.close()
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_database_locked_by_somebody_else_is_said(sqlite_url: str) -> None:
    store = SqliteStore(make_url(sqlite_url), LocalBus(), None, busy_ms=10)
    blocker = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.write(lambda tx: tx.conn.execute(_put("a")).rowcount)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert await store.write(lambda tx: tx.conn.execute(_put("a")).rowcount) == 1
    await store.close()


async def test_a_server_that_is_gone_is_said() -> None:
    store = await open_store("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreUnavailable):
        await store.write(_keys)
    with pytest.raises(StoreUnavailable):
        await store.read(_keys)
    await store.close()


async def test_a_server_that_lets_nobody_in_is_said(postgres_server: str) -> None:
    absent = make_url(postgres_server).set(database="absent").render_as_string(hide_password=False)
    store = await open_store(absent)
    with pytest.raises(StoreUnavailable):
        await store.write(_keys)
    with pytest.raises(StoreUnavailable):
        await store.read(_keys)
    await store.close()


async def test_a_connection_that_breaks_in_the_middle_is_said(postgres_server: str) -> None:
    def broken(tx: Transaction) -> None:
        tx.conn.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))
        tx.conn.execute(sa.text("SELECT 1"))

    store = await open_store(postgres_server)
    with pytest.raises(StoreUnavailable):
        await store.write(broken)
    with pytest.raises(StoreUnavailable):
        await store.read(broken)
    assert await store.read(lambda tx: tx.conn.execute(sa.text("SELECT 1")).scalar()) == 1
    await store.close()


async def test_a_database_that_cannot_be_migrated_is_said(postgres_server: str, tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("this is no database, however long one looks at it" * 20)
    absent = make_url(postgres_server).set(database="absent").render_as_string(hide_password=False)
    for url in (
        f"sqlite:///{tmp_path}/no.db",
        "sqlite:////proc/none/no.db",
        absent,
        "postgresql://u@127.0.0.1:1/x",
    ):
        with pytest.raises(StoreUnavailable):
            await migrate(url)
        with pytest.raises(StoreUnavailable):
            await current_revision(url)


async def test_migrations_make_exactly_the_tables_of_the_code(store: Store) -> None:
    def differences(tx: Transaction) -> list[object]:
        context = MigrationContext.configure(tx.conn)
        return [d for d in compare_metadata(context, metadata) if d[0] != "remove_table"]

    assert await store.read(differences) == []


async def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'folder' / 'new.db'}"
    assert await migrate(url) == await migrate(url) == head_revision() == await current_revision(url)


async def test_sessions_are_forgotten_a_week_after_they_expired(store: Store) -> None:
    world = World(store)
    thread = (await world.says("hi")).thread

    def fill(tx: Transaction) -> int:
        week = 7 * 24 * 3600 * 1000
        for name, expires in (
            ("old", tx.now - week - 1),
            ("recent", tx.now - week + 60_000),
            ("live", tx.now + 1000),
        ):
            values = {"id": name, "thread_id": thread, "created_at": 0, "expires_at": expires}
            tx.conn.execute(sa.insert(chat_sessions).values(values))
        return prune_sessions(tx)

    assert await store.write(fill) == 1
    left = await store.read(lambda tx: set(tx.conn.execute(sa.select(chat_sessions.c.id)).scalars()))
    assert left == {"recent", "live"}
