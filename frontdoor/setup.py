"""What stands before the first message: the database's tables and the people at the desk."""

from __future__ import annotations

from collections.abc import Mapping

from frontdoor.settings import Settings


async def migrate(settings: Settings) -> str:
    """Brings the database of conversations up to this version; gives the revision that it has now."""
    from conversations.store.migrate import migrate as upgrade

    return await upgrade(settings.database_url)


async def make_demo_agent(settings: Settings) -> Mapping[str, str] | None:
    """The demo agent (``email``, ``password``) when it was made now; None when there is one, or it is not wanted."""
    return None
