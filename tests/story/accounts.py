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


def an_order_on_its_way(database: Path) -> dict[str, Any]:
    """One order that a carrier has, with what its customer knows: `number, email, postcode, name, carrier`."""
    query = (
        "SELECT o.number, o.customer, o.state, c.email, c.postcode, c.name, s.carrier FROM orders o"
        " JOIN customers c ON c.id = o.customer JOIN shipments s ON s.order_number = o.number"
        " WHERE s.state = 'in_transit' ORDER BY o.number LIMIT 1"
    )
    return rows(database, query)[0]
