"""Bodies, answers and events of the desk's API: what is asked is parsed with these, and all of them are published."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from conversations.messages import MAX_TEXT

from .reasons import Reason

MAX_SEQ = 2**31 - 1

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
Line = Annotated[str, StringConstraints(max_length=500)]
NoteText = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Said = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]
ClientId = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Seq = Annotated[int, Field(strict=True, ge=0, le=MAX_SEQ)]


class Body(BaseModel):
    """What a client sends. Fields that are not known are ignored."""

    model_config = ConfigDict(frozen=True)


class Nothing(Body):
    """An empty object, or no body at all."""


class LoginBody(Body):
    email: Annotated[str, StringConstraints(max_length=254)]
    password: Annotated[str, StringConstraints(max_length=256)]


class PresenceBody(Body):
    state: Literal["available", "busy", "away"]
    reason: Annotated[str, StringConstraints(max_length=80)] | None = None


class DeclineBody(Body):
    reason: Line | None = None


class TransferBody(Body):
    """To a queue; without one, to where the conversation came from. A transfer to an agent is not supported yet."""

    queue: Word | None = None
    agent: Word | None = None
    note: NoteText | None = None


class ReturnBody(Body):
    note: NoteText | None = None


class ResolveBody(Body):
    disposition: Word
    note: NoteText | None = None
    after_seq: Seq | None = None


class MessageBody(Body):
    """`text` is required; `upload` and `template` are not supported yet."""

    id: ClientId
    text: Said | None = None
    upload: Any = None
    template: Any = None
    after_seq: Seq | None = None


class NoteBody(Body):
    id: ClientId
    text: Said


# ------------------------------------------------------------------ answers


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    code: str
    message: str
    details: dict[str, Any] | None = None


class ErrorAnswer(Answer):
    error: Problem


class AgentShape(Answer):
    id: str
    name: str
    email: str
    roles: list[Literal["agent", "supervisor", "admin"]]
    languages: list[str]
    queues: list[str]
    presence: Literal["available", "busy", "away"]
    presence_reason: str | None


class CustomerRef(Answer):
    id: str
    name: str | None


class HandoffShape(Answer):
    id: str
    conversation: str
    thread: str
    channel: str
    customer: CustomerRef
    state: Literal["queued", "offered", "accepted", "resolved", "returned", "abandoned", "overflowed"]
    reason: Reason
    summary: str
    queue: str
    priority: int = Field(description="Higher ones go first; within one, who has waited longest.")
    enqueued_at: str
    attempt: int
    declined_by: list[str] = Field(description="Ids of the agents who declined it.")
    accepted_by: str | None = Field(None, description="The agent's id.")
    accepted_by_name: str | None = None
    accepted_at: str | None = None
    ended_at: str | None = None
    disposition: str | None = None
    position: int | None = Field(
        None,
        description="Place in its queue, from 1, at that moment. Later it follows from the queue's handoffs in order of "
        "falling priority, enqueued_at and id.",
    )


class AuthorShape(Answer):
    kind: Literal["customer", "assistant", "agent", "system"]
    name: str | None = None
    id: str | None = None


class PreviewShape(Answer):
    """A conversation's last message, for a list."""

    author: AuthorShape
    text: str = Field(description="Its first 140 characters.")
    at: str


class ConversationShape(Answer):
    id: str
    thread: str
    channel: str
    customer: CustomerRef
    control: Literal["assistant", "queue", "agent", "closed"]
    epoch: int
    opened_at: str
    first_seq: int
    last_seq: int
    unread: int = Field(description="The customer's messages since a person last answered.")
    waiting_since: str | None = Field(description="When the first of those was written.")
    preview: PreviewShape | None
    can_freeform: bool
    agent: str | None = Field(None, description="Id of the agent who has it.")
    agent_name: str | None = None
    handoff: str | None = Field(None, description="Id of the open handoff.")


class QueueShape(Answer):
    name: str
    waiting: int
    oldest_enqueued_at: str | None


class MessageShape(Answer):
    id: str
    conversation: str
    seq: int | None = Field(description="Null for a note.")
    author: AuthorShape
    content: dict[str, Any]
    sent_at: str
    status: str
    client_id: str | None = Field(None, description="On an agent's own: the id under which it was sent.")
    understood: dict[str, Any] | None = None


class LoginAnswer(Answer):
    agent: AgentShape


class State(Answer):
    """Everything on a desk's first screen, at event number `event`."""

    event: int
    me: AgentShape
    agents: list[AgentShape]
    queues: list[QueueShape]
    handoffs: list[HandoffShape]
    conversations: list[ConversationShape]


class MessageAnswer(Answer):
    message: MessageShape


class MessagesAnswer(Answer):
    messages: list[MessageShape] = Field(description="Newest last.")
    more: bool = Field(description="There are older ones.")
    notes: list[MessageShape] = Field(description="All notes of the conversation, newest last.")


class PastConversation(Answer):
    id: str
    channel: str
    control: Literal["assistant", "queue", "agent", "closed"]
    opened_at: str
    closed_at: str | None
    outcome: str | None


class CustomerShape(Answer):
    id: str
    name: str | None
    directory_id: str | None = Field(description="The customer's id in the account system, once verified.")
    created_at: str


class CustomerAnswer(Answer):
    customer: CustomerShape
    conversations: list[PastConversation] = Field(description="The last 20, newest first.")


# ------------------------------------------------------------------- events


class Event(Answer):
    event: int
    at: str


class HandoffEvent(Event):
    type: Literal["handoff"]
    handoff: HandoffShape


class MessageEvent(Event):
    type: Literal["message"]
    conversation: str
    message: MessageShape


class NoteEvent(Event):
    type: Literal["note"]
    conversation: str
    message: MessageShape


class UpdateEvent(Event):
    type: Literal["update"]
    conversation: str
    seq: int
    status: str


class ConversationEvent(Event):
    """One of mine: it became so, or (under another's control) is so no longer."""

    type: Literal["conversation"]
    conversation: ConversationShape


class QueueEvent(Event):
    type: Literal["queue"]
    queue: QueueShape


class PresenceEvent(Event):
    type: Literal["presence"]
    agent: AgentShape


class ResetEvent(Event):
    """Events behind the number that was asked for are not kept: fetch the state; later events follow here."""

    type: Literal["reset"]


class TypingNote(Answer):
    """Without a number: it is never stored, and lasts 6 seconds."""

    type: Literal["typing"]
    conversation: str
    author: AuthorShape


EVENTS: tuple[type[Answer], ...] = (
    HandoffEvent,
    MessageEvent,
    NoteEvent,
    UpdateEvent,
    ConversationEvent,
    QueueEvent,
    PresenceEvent,
    ResetEvent,
    TypingNote,
)
