"""What a socket has to say about a thread: the difference between two looks at it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conversations.control import Control
from conversations.messages import AuthorKind, Message
from conversations.store.views import ThreadView

Frame = dict[str, Any]

_PUBLIC_OUTCOMES = frozenset({"customer_left", "silence"})
"""Outcomes that a customer is told as they are. An agent's disposition is the house's own business."""


def message_frame(message: Message) -> Frame:
    """A message as the socket sends it."""
    return {"type": "message"} | message.for_customer()


def welcome(view: ThreadView, truncated: bool) -> Frame:
    """Where the thread stands; `truncated` says that messages older than the replay are left out."""
    frame: Frame = {
        "type": "welcome",
        "thread": view.thread,
        "conversation": view.conversation,
        "control": view.control.value,
        "last_seq": view.last_seq,
    }
    if view.control is Control.AGENT and view.agent:
        frame["name"] = view.agent
    return frame | ({"truncated": True} if truncated else {})


def control(view: ThreadView) -> Frame:
    """Who is in control, for a client that was mistaken about it."""
    return _control(view.control, view.agent, view.outcome)


def place(view: ThreadView) -> list[Frame]:
    """The place in the queue, when the conversation has one. How long it will take, nobody can say yet."""
    if view.control is not Control.QUEUE or view.position is None:
        return []
    return [{"type": "queue", "position": view.position, "wait": None}]


def frames(before: ThreadView, after: ThreadView) -> list[Frame]:
    """What happened from `before` to `after`, in the order in which it happened as far as both can tell.

    `after` must hold every message behind `before.last_seq`. Episodes and who was in control are read from the
    messages where they prove it, so that they come before what was said under them; control that came and went
    between both looks without a word is left out.
    """
    walk = _Walk(before)
    told = [frame for message in after.messages for frame in walk.hear(message)]
    told.extend(walk.arrive(after))
    if before.control is not Control.QUEUE or before.position != after.position or walk.moved:
        told.extend(place(after))
    return told


class _Walk:
    """Where the customer believes the thread to stand, message by message."""

    def __init__(self, view: ThreadView) -> None:
        self._episode = view.episode
        self._control = view.control
        self._agent = view.agent
        self.moved = False

    def hear(self, message: Message) -> Iterator[Frame]:
        if message.conversation != self._episode:
            yield from self._begin(message.conversation, (message.seq or 1) - 1)
        elif message.author.kind is AuthorKind.AGENT:
            yield from self._move(Control.AGENT, message.author.name or self._agent)
        elif message.author.kind is AuthorKind.ASSISTANT:
            yield from self._move(Control.ASSISTANT)
        yield message_frame(message)

    def arrive(self, view: ThreadView) -> Iterator[Frame]:
        if view.episode is not None and view.episode != self._episode:
            yield from self._begin(view.episode, (view.first_seq or 1) - 1)
        yield from self._move(view.control, view.agent, view.outcome)

    def _begin(self, conversation: str, after_seq: int) -> Iterator[Frame]:
        yield from self._move(Control.CLOSED)
        yield {"type": "conversation", "conversation": conversation, "after_seq": after_seq}
        self._episode = conversation
        yield from self._move(Control.ASSISTANT)

    def _move(self, to: Control, agent: str | None = None, outcome: str | None = None) -> Iterator[Frame]:
        if (to, agent) == (self._control, self._agent):
            return
        self._control, self._agent, self.moved = to, agent, True
        yield _control(to, agent, outcome)


def _control(to: Control, agent: str | None, outcome: str | None) -> Frame:
    frame: Frame = {"type": "control", "control": to.value}
    if to is Control.AGENT and agent:
        frame["name"] = agent
    if to is Control.CLOSED and outcome:
        frame["reason"] = outcome if outcome in _PUBLIC_OUTCOMES else "resolved"
    return frame
