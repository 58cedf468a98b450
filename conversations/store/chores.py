"""What is thrown away once nobody can need it."""

from __future__ import annotations

import sqlalchemy as sa

from .engine import Transaction
from .tables import chat_sessions

KEEP_ENDED_SESSIONS_MS = 7 * 24 * 3600 * 1000


def prune_sessions(tx: Transaction) -> int:
    """Forgets web chat sessions that expired a week ago; a token of theirs is refused by its own expiry anyway."""
    expired = chat_sessions.c.expires_at < tx.now - KEEP_ENDED_SESSIONS_MS
    return tx.conn.execute(sa.delete(chat_sessions).where(expired)).rowcount
