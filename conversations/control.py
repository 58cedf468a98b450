"""Who may speak in a conversation. Pure: no clock, no database, no waiting.

A conversation stands under the control of the assistant, of the queue, or of one agent, until it is closed. Every change
raises the epoch, and whatever was begun under an older epoch (a turn, an offer, a timer) may no longer act.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Control(StrEnum):
    ASSISTANT = "assistant"
    QUEUE = "queue"
    AGENT = "agent"
    CLOSED = "closed"


class NotAllowed(Exception):
    """This change of control is not possible from where the conversation stands."""

    def __init__(self, verb: str, standing: Standing) -> None:
        super().__init__(f"cannot {verb} a conversation under control of {standing.control.value}")
        self.verb = verb
        self.standing = standing


@dataclass(frozen=True, slots=True)
class Standing:
    """Control, its epoch, and the agent's id while an agent holds it."""

    control: Control = Control.ASSISTANT
    epoch: int = 1
    agent: str | None = None

    @property
    def open(self) -> bool:
        return self.control is not Control.CLOSED


def escalate(standing: Standing) -> Standing:
    """The assistant hands over: the conversation waits in a queue."""
    return _change("escalate", standing, Control.QUEUE, {Control.ASSISTANT})


def accept(standing: Standing, agent: str) -> Standing:
    """An agent takes a waiting conversation."""
    return _change("accept", standing, Control.AGENT, {Control.QUEUE}, agent)


def requeue(standing: Standing) -> Standing:
    """The agent's conversation goes back to a queue."""
    return _change("requeue", standing, Control.QUEUE, {Control.AGENT})


def give_back(standing: Standing) -> Standing:
    """The assistant goes on: an agent returns the conversation, or the customer stops waiting."""
    return _change("return", standing, Control.ASSISTANT, {Control.AGENT, Control.QUEUE})


def close(standing: Standing) -> Standing:
    """The episode is over; the customer's next message opens another one."""
    return _change("close", standing, Control.CLOSED, {Control.ASSISTANT, Control.QUEUE, Control.AGENT})


def _change(
    verb: str, standing: Standing, to: Control, allowed_from: set[Control], agent: str | None = None
) -> Standing:
    if standing.control not in allowed_from:
        raise NotAllowed(verb, standing)
    return Standing(to, standing.epoch + 1, agent)
