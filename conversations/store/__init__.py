"""The database: SQLite on one machine, PostgreSQL on a fleet, one set of queries over both."""

from __future__ import annotations

from sqlalchemy.engine import make_url

from ..bus import LocalBus
from ..ports import Bus
from .engine import Clock, DeskEvent, Store, Transaction
from .migrate import current_revision, head_revision, migrate
from .postgres import PostgresStore
from .sqlite import SqliteStore

__all__ = [
    "DeskEvent",
    "Store",
    "Transaction",
    "current_revision",
    "head_revision",
    "migrate",
    "open_store",
]


async def open_store(url: str, bus: Bus | None = None, clock: Clock | None = None) -> Store:
    """Opens the store behind `sqlite:///file` or `postgresql://...`; the schema must have been migrated.

    `clock` (milliseconds) replaces the database's clock in tests.
    """
    parsed = make_url(url)
    bus = bus or LocalBus()
    if parsed.get_backend_name() == "sqlite":
        return SqliteStore(parsed, bus, clock)
    return PostgresStore(parsed, bus, clock)
