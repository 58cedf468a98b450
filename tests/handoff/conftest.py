from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from conversations.store import Store

from .office import Office


@pytest_asyncio.fixture
async def office(store: Store) -> AsyncIterator[Office]:
    """An office over each database."""
    async with Office(store) as opened:
        yield opened


@pytest_asyncio.fixture
async def small_office(sqlite_store: Store) -> AsyncIterator[Office]:
    """An office over SQLite alone, for what is not about the database."""
    async with Office(sqlite_store) as opened:
        yield opened
