"""What a custom action knows about the turn it runs in, and the side band by which it tells more than text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

Json = dict[str, Any]


class Dispatcher(Protocol):
    """The part of rasa-sdk's dispatcher that actions use."""

    def utter_message(self, **message: Any) -> None: ...


class Tracker(Protocol):
    """The part of rasa-sdk's tracker that actions use."""

    sender_id: str
    slots: dict[str, Any]
    latest_message: dict[str, Any]
    events: list[dict[str, Any]]


@dataclass(frozen=True)
class Turn:
    """One customer message and its context. `customer` is the account customer whose verification still holds."""

    id: str
    text: str
    intent: str
    entities: Sequence[Mapping[str, Any]]
    now: datetime
    source: str | None
    customer: str | None
    failed_attempts: int

    @staticmethod
    def of(tracker: Tracker) -> Turn:
        """Reads the newest message; without the front door (as in `rasa shell`) nobody is verified."""
        message = tracker.latest_message
        metadata = message.get("metadata") or {}
        context = metadata.get("context") or {}
        verification = context.get("verification") or {}
        now = _time(context.get("now")) or datetime.now(UTC)
        text = message.get("text") or ""
        return Turn(
            id=str(metadata.get("turn") or message.get("message_id") or tracker.sender_id),
            text="" if text.startswith("/") else text,
            intent=str((message.get("intent") or {}).get("name") or ""),
            entities=message.get("entities") or [],
            now=now,
            source=context.get("source"),
            customer=_verified_customer(verification, now),
            failed_attempts=int(verification.get("failed_attempts") or 0),
        )

    def first_entity(self, *names: str) -> str | None:
        """The value of the first entity of these names that the message held."""
        values = (str(found["value"]) for found in self.entities if found.get("entity") in names)
        return next(values, None)


def side_band(
    *, lookups: Sequence[Json] = (), effects: Sequence[Json] = (), handoff: Json | None = None
) -> Json | None:
    """The message that carries these to the front door, or None when there is nothing to carry."""
    parts = {"lookups": list(lookups), "effects": list(effects), "handoff": handoff}
    filled = {name: part for name, part in parts.items() if part}
    return {"foyer": filled} if filled else None


def set_slot(name: str, value: Any) -> Json:
    """The event that sets a slot."""
    return {"event": "slot", "timestamp": None, "name": name, "value": value}


def _verified_customer(verification: Mapping[str, Any], now: datetime) -> str | None:
    expires = _time(verification.get("expires_at"))
    if verification.get("level") in (None, "none") or (expires is not None and expires <= now):
        return None
    customer = verification.get("customer")
    return str(customer) if customer else None


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
