"""The database: SQLite on one machine, PostgreSQL on a fleet, one set of queries over both."""

from .engine import Store, Transaction, open_store
from .migrate import current_revision, head_revision, migrate

__all__ = ["Store", "Transaction", "current_revision", "head_revision", "migrate", "open_store"]
