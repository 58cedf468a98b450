"""One installation for all stories that break nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.story.installation import Installation, free_port


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Installation]]]:
    """Starts installations and ends them with the test."""
    started: list[Installation] = []

    async def begin(wait: bool = True, **settings: str) -> Installation:
        installation = Installation(tmp_path / f"home {len(started)}", free_port(), settings)
        started.append(installation)
        await installation.start()
        if wait:
            await installation.ready()
        return installation

    yield begin
    for installation in started:
        await installation.stop()
