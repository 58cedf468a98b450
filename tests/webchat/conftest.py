"""A served web chat over each database, and over SQLite alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from conversations.store import Store

from .world import House, open_house


@pytest.fixture
async def house(sqlite_store: Store) -> AsyncIterator[House]:
    async with open_house(sqlite_store) as opened:
        yield opened


@pytest.fixture
async def any_house(store: Store) -> AsyncIterator[House]:
    async with open_house(store) as opened:
        yield opened
