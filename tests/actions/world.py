"""A customer in front of the custom actions, and account systems that fail in known ways."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from actions.account_actions import AccountActions
from actions.directory import (
    AccountDirectory,
    Attempt,
    DirectoryError,
    Invoice,
    Order,
    Outcome,
    SampleCustomer,
    Verification,
)
from actions.lookups import Patience
from actions.order_form import OrderForm
from actions.turn import Json

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
IMPATIENT = Patience(total=0.02, first_try=0.01)


@dataclass
class Heard:
    """What an action said: responses with their gaps, and the side band."""

    messages: list[Json] = field(default_factory=list)

    def utter_message(self, **message: Any) -> None:
        self.messages.append(message)

    @property
    def responses(self) -> list[str]:
        return [message["response"] for message in self.messages if "response" in message]

    @property
    def words(self) -> list[Json]:
        return [message for message in self.messages if "response" in message]

    def _band(self, name: str) -> list[Json]:
        bands = [message["json_message"]["foyer"] for message in self.messages if "json_message" in message]
        return [one for band in bands for one in band.get(name, [])]

    @property
    def lookups(self) -> list[Json]:
        return self._band("lookups")

    @property
    def effects(self) -> list[Json]:
        return self._band("effects")


@dataclass
class Conversation:
    """Plays the assistant's part around the actions: keeps slots and events, and passes the context on."""

    directory: AccountDirectory
    patience: Patience = field(default_factory=Patience)
    source: str | None = "address-1"
    now: datetime = NOON
    slots: dict[str, Any] = field(default_factory=lambda: {"wanted": "order_status"})
    events: list[Json] = field(default_factory=list)
    latest_message: Json = field(default_factory=dict)
    verification: Json = field(default_factory=lambda: {"level": "none", "failed_attempts": 0})
    sender_id: str = "conversation-1"
    turns: Any = field(default_factory=itertools.count)

    async def says(self, text: str, intent: str = "inform", turn: str | None = None) -> Heard:
        """One customer message to the form; its events are applied and its effects carried out."""
        self._hears(text, intent, turn)
        heard = Heard()
        events = await OrderForm(self.directory, self.patience)(heard, self, {})
        self._apply(events)
        self._carry_out(heard.effects)
        return heard

    async def asks(self, action: str, turn: str | None = None) -> Heard:
        """One of the answers, in this turn or in a new one."""
        self._hears("and now?", "order_status", turn)
        heard = Heard()
        run = getattr(AccountActions(self.directory, self.patience), action)
        self._apply(await run(heard, self, {}))
        return heard

    @property
    def turn(self) -> str:
        return str(self.latest_message["metadata"]["turn"])

    def _hears(self, text: str, intent: str, turn: str | None) -> None:
        context = {
            "now": self.now.isoformat(),
            "source": self.source,
            "verification": dict(self.verification),
        }
        self.latest_message = {
            "text": text,
            "intent": {"name": intent},
            "entities": [],
            "metadata": {"turn": turn or f"{self.sender_id}-{next(self.turns)}", "context": context},
        }
        self.events.append({"event": "user", "text": text})

    def _apply(self, events: Sequence[Json]) -> None:
        self.events.extend(events)
        self.slots.update({event["name"]: event["value"] for event in events if event["event"] == "slot"})

    def _carry_out(self, effects: Sequence[Json]) -> None:
        for effect in effects:
            if effect.get("failed"):
                self.verification["failed_attempts"] += 1
            else:
                self.verification.update(level=effect["level"], customer=effect["customer"])


class Wrapped:
    """Passes every look-up on to a real directory, after `before`."""

    def __init__(self, real: AccountDirectory) -> None:
        self.real = real
        self.calls = 0

    async def before(self) -> None:
        self.calls += 1

    async def verify(self, attempt: Attempt) -> Verification:
        await self.before()
        return await self.real.verify(attempt)

    async def verified_in_turn(self, turn: str) -> str | None:
        await self.before()
        return await self.real.verified_in_turn(turn)

    async def order(self, customer: str, number: str) -> Order | None:
        await self.before()
        return await self.real.order(customer, number)

    async def latest_order(self, customer: str) -> Order | None:
        await self.before()
        return await self.real.latest_order(customer)

    async def invoices(self, customer: str) -> Sequence[Invoice]:
        await self.before()
        return await self.real.invoices(customer)


class Silent(Wrapped):
    """Never answers."""

    async def before(self) -> None:
        await super().before()
        await asyncio.Event().wait()


class Broken(Wrapped):
    """Answers with an error the first `times` calls, then works."""

    def __init__(self, real: AccountDirectory, times: int = 1_000_000) -> None:
        super().__init__(real)
        self.times = times

    async def before(self) -> None:
        await super().before()
        if self.calls <= self.times:
            raise DirectoryError("out of order")


def attempt(known: SampleCustomer, turn: str, **changes: Any) -> Attempt:
    """A right attempt of `known`, unless `changes` make it wrong."""
    given: dict[str, Any] = {
        "turn": turn,
        "order_number": known.order_number,
        "method": "email",
        "proof": known.email,
        "source": "address-1",
        "at": NOON,
    }
    return Attempt(**{**given, **changes})


async def outcomes(directory: AccountDirectory, attempts: Sequence[Attempt]) -> list[Outcome]:
    """What comes of these attempts, one after the other."""
    return [(await directory.verify(one)).outcome for one in attempts]
