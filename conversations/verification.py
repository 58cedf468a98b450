"""How sure we are who writes, in this conversation. Kept by the core, never in the assistant's slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .messages import rfc3339
from .store.conversations import Conversation
from .store.engine import Transaction
from .store.threads import name_customer

LIFE_MS = 30 * 60 * 1000
"""How long a proof counts."""

NOBODY: Mapping[str, Any] = {
    "level": "none",
    "customer": None,
    "method": None,
    "at": None,
    "expires_at": None,
    "failed_attempts": 0,
}
LEVELS = ("none", "order")


def from_stored(stored: Mapping[str, Any] | None, now: int) -> dict[str, Any]:
    """The verification as actions and agents see it; an expired one has level `none`, its failed attempts stay."""
    if not stored:
        return dict(NOBODY)
    if stored["expires_at"] is not None and stored["expires_at"] <= now:
        return dict(NOBODY) | {"failed_attempts": stored["failed_attempts"]}
    times = {k: rfc3339(stored[k]) if stored[k] is not None else None for k in ("at", "expires_at")}
    return dict(stored) | times


def record(
    tx: Transaction, conversation: Conversation, effects: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The conversation's verification after a turn's `set_verification` effects; None when nothing changed."""
    stored: dict[str, Any] | None = None
    for effect in effects:
        if effect.get("kind") == "set_verification" and effect.get("level") in LEVELS:
            stored = _after(tx, stored or dict(conversation.verification or NOBODY), effect)
            if stored["level"] != "none":
                name_customer(tx, conversation.customer_id, effect.get("name"), stored["customer"])
    return stored


def _after(tx: Transaction, before: dict[str, Any], effect: Mapping[str, Any]) -> dict[str, Any]:
    if effect.get("failed"):
        return before | {"failed_attempts": before["failed_attempts"] + 1}
    if effect["level"] == "none":
        return dict(NOBODY)
    return {
        "level": effect["level"],
        "customer": str(effect.get("customer")),
        "method": effect.get("method"),
        "at": tx.now,
        "expires_at": tx.now + LIFE_MS,
        "failed_attempts": 0,
    }
