"""A served web chat over each database, and over SQLite alone. Whoever blocks the event loop fails the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest
from blockbuster import blockbuster_ctx

from conversations.store import Store
from tests.webchat.world import House, open_house

ROOMS = ["connectors", "conversations"]


@pytest.fixture
async def house(sqlite_store: Store) -> AsyncIterator[House]:
    with blockbuster_ctx(ROOMS):
        async with open_house(sqlite_store) as opened:
            yield opened


@pytest.fixture
async def any_house(store: Store) -> AsyncIterator[House]:
    # asyncpg looks for a password file, blocking, when it connects.
    with blockbuster_ctx(ROOMS) if store.dialect == "sqlite" else nullcontext():
        async with open_house(store) as opened:
            yield opened
