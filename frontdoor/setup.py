"""What stands before the first message: the database's tables and the people at the desk."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from conversations.store import Store, current_revision, head_revision, open_store
from conversations.store.migrate import migrate as upgrade
from frontdoor.settings import Settings, SettingsError
from handoff import agents


async def migrate(settings: Settings) -> str:
    """Brings the database of conversations up to this version; gives the revision that it has now."""
    return await upgrade(settings.database_url)


async def make_demo_agent(settings: Settings) -> Mapping[str, str] | None:
    """The demo agent (``email``, ``password``) when it was made now; None when there is one, or it is not wanted."""
    if not settings.demo_enabled:
        return None
    async with _store(settings) as store:
        return await agents.ensure_demo_agent(store, settings.home / "demo-agent.json")


async def add_agent(
    settings: Settings,
    email: str,
    name: str,
    *,
    roles: Sequence[str],
    queues: Sequence[str],
    skills: Mapping[str, int],
    languages: Sequence[str],
    password: str,
) -> agents.Agent:
    """Makes an agent. Raises FoyerError for what can't be accepted, SettingsError for an old database."""
    async with _store(settings) as store:
        return await agents.add_agent(store, email, name, roles, queues, skills, languages, password)


async def set_password(settings: Settings, email: str, password: str) -> agents.Agent:
    """Gives an agent a new password and ends their sessions. Raises as ``add_agent`` does."""
    async with _store(settings) as store:
        return await agents.set_password(store, email, password)


@contextlib.asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    found, needed = await current_revision(settings.database_url), head_revision()
    if found != needed:
        raise SettingsError(
            f"the database is at schema {found or 'none'}, this version needs {needed}: ./foyer migrate"
        )
    store = await open_store(settings.database_url)
    try:
        yield store
    finally:
        await store.close()
