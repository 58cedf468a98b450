"""What the core asks of the rooms around it, as protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .messages import Content, Outbound, Receipt

if TYPE_CHECKING:
    from .store.conversations import Conversation
    from .store.engine import Transaction


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One customer message for the assistant. `choice` wins over `text` when it is set; `state` is opaque."""

    turn: str
    conversation: str
    text: str
    choice: str | None
    context: Mapping[str, Any]
    state: Mapping[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        message = {"choice": self.choice} if self.choice is not None else {"text": self.text}
        return {
            "turn": self.turn,
            "conversation": self.conversation,
            "message": message,
            "context": dict(self.context),
            "state": dict(self.state) if self.state is not None else None,
        }


@dataclass(frozen=True, slots=True)
class HandoffRequest:
    """Why a person is needed: a reason code, and who says so (`rule`), for the agent."""

    reason: str
    queue: str | None = None
    note: str | None = None
    rule: str | None = None
    turn: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What the assistant made of a message. Nothing of it counts before the turn is committed."""

    replies: tuple[Content, ...] = ()
    state: Mapping[str, Any] | None = None
    model: str | None = None
    understanding: Mapping[str, Any] = field(default_factory=dict)
    slots: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, Any] | None = None
    actions: tuple[Mapping[str, Any], ...] = ()
    lookups: tuple[Mapping[str, Any], ...] = ()
    effects: tuple[Mapping[str, Any], ...] = ()
    handoff: HandoffRequest | None = None

    @property
    def wanted_handoff(self) -> HandoffRequest | None:
        """The handoff that the turn asks for, by itself or by an effect `request_handoff` of an action."""
        if self.handoff is not None:
            return self.handoff
        asked = next(
            (e for e in self.effects if e.get("kind") == "request_handoff" and e.get("reason")), None
        )
        return HandoffRequest(str(asked["reason"]), asked.get("queue"), asked.get("note")) if asked else None

    @property
    def silent(self) -> bool:
        """Neither a reply nor a handoff: the customer would be left in silence."""
        return not self.replies and self.wanted_handoff is None


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The queue where a conversation waits, and what the customer is told."""

    queue: str
    notice: str


class Assistant(Protocol):
    """A function from state and message to replies and state. Keeps nothing between turns."""

    async def turn(self, request: TurnRequest) -> TurnResult:
        """Answers one message.

        Raises:
            AssistantError: no usable answer; the same request may be sent again.
            AssistantRefused: no usable answer, and there will be none.
        """
        ...


class Handoffs(Protocol):
    """The room that brings people in. Called inside the core's transactions: no waiting in there."""

    def request(self, tx: Transaction, conversation: Conversation, why: HandoffRequest) -> Enqueued:
        """Finds a queue for the conversation, which is under control of the queue already, and records the handoff."""
        ...

    def abandon(self, tx: Transaction, conversation: Conversation, why: str) -> None:
        """The customer left or stopped waiting: ends the open handoff, if there is one."""
        ...


class Connector(Protocol):
    """A channel's sending verb. `verify` and `parse` belong to its webhook."""

    channel: str

    async def send(self, message: Outbound) -> Receipt:
        """Sends one message.

        Raises:
            SendError: one of its kinds, which says what to do next.
        """
        ...


class Bus(Protocol):
    """Wake-ups and short-lived notes between workers and sockets. Losing any of it loses no message."""

    def publish(self, topic: str, note: Mapping[str, Any] | None = None) -> None:
        """Wakes the topic's subscribers; a note (typing, read marks) travels with it and is never stored."""
        ...

    def subscribe(self, *topics: str) -> Subscription:
        """Listens from now on; `close` it when done."""
        ...


class Subscription(Protocol):
    async def wait(self, timeout: float | None = None) -> list[Mapping[str, Any]]:
        """Returns the notes since the last call, as soon as one of the topics was published, or after `timeout` seconds."""
        ...

    def close(self) -> None: ...
