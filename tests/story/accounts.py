"""What the account database holds, read by its own tables and nothing else."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any


def rows(database: Path, query: str, *values: Any) -> list[dict[str, Any]]:
    """The rows of a query on an SQLite file."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query, values)]
    finally:
        connection.close()
