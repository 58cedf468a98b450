"""The context of a handoff: what an agent is given, schema version 1. Written once, never changed.

A field whose source does not exist yet is null. Times are RFC 3339 in UTC, durations seconds.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .reasons import Reason

SCHEMA_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HandoffPart(_Part):
    schema_version: Literal[1] = 1
    id: str
    conversation_id: str
    epoch: int = Field(description="The conversation's epoch when the handoff was made.")
    created_at: str
    attempt: int = Field(ge=1, description="Which handoff of this conversation, from 1.")


class Trigger(_Part):
    type: Reason
    rule: str | None = Field(description="What decided it, as a word: a policy, or how the assistant failed.")
    score: float | None = None
    failed_turns: int = Field(
        ge=0, description="Turns in a row, up to now, that failed or were not understood."
    )
    message_id: str | None = Field(description="The customer's message that led here.")
    note: str | None = Field(description="What the assistant adds for the agent.")


class Summary(_Part):
    text: str
    author: Literal["rule", "model"] = "rule"


class Channel(_Part):
    name: str
    provider: str | None
    address: str | None = Field(description="The customer's address; partly masked for agents.")
    window_expires_at: str | None = None
    can_freeform: bool | None
    templates: list[dict[str, Any]] | None = None
    opted_out: bool | None = None
    capabilities: list[str] | None = None
    locale: str | None
    timezone: str | None = None
    page: str | None = None
    device: str | None = None


class Identity(_Part):
    channel: str
    address: str | None
    verified: bool | None = Field(
        description="The customer proved that it is theirs; null where that is not known."
    )


class Verification(_Part):
    level: Literal["none", "order"]
    customer: str | None = Field(description="The customer's id in the account system.")
    method: str | None
    at: str | None
    expires_at: str | None
    failed_attempts: int


class PreviousConversation(_Part):
    id: str
    channel: str
    opened_at: str
    closed_at: str | None
    topic: str | None = Field(description="What it was about, as an intent's name.")
    outcome: str | None


class Customer(_Part):
    id: str
    name: str | None
    tier: str | None = None
    language: str | None = None
    identities: list[Identity]
    verification: Verification
    attributes: dict[str, Any] | None = None
    preferences: dict[str, Any] | None = None
    notes: list[str] | None = None
    open_cases: list[dict[str, Any]] | None = None
    previous_conversations: list[PreviousConversation]


class Intent(_Part):
    name: str
    confidence: float


class Entity(_Part):
    entity: str
    value: Any
    start: int | None = None
    end: int | None = None
    message_id: str


class Understood(_Part):
    message_id: str
    seq: int
    intents: list[Intent] = Field(description="Ranked; empty when the assistant gave no answer.")
    entities: list[Entity]
    model_id: str | None


class Slot(_Part):
    name: str
    label: str
    value: Any
    source_message_id: str | None
    sensitive: bool


class Dialogue(_Part):
    slots: list[Slot]
    active_form: str | None
    requested_slot: str | None
    turns: int


class Lookup(_Part):
    action: str
    asked: Any
    at: str | None
    ok: bool
    result: Any = None
    error: str | None = None
    seconds: float | None


class Attempt(_Part):
    what: str
    outcome: str


class Author(_Part):
    kind: Literal["customer", "assistant", "agent", "system"]
    name: str | None = None
    id: str | None = None


class TranscriptMessage(_Part):
    id: str
    seq: int
    provider_id: str | None
    author: Author
    content: dict[str, Any]
    status: str
    at: str


class Transcript(_Part):
    messages: list[TranscriptMessage] = Field(description="The last ones, oldest first.")
    first_seq: int = Field(description="Number of the conversation's first message.")
    last_seq: int = Field(
        description="Number of its last message when the handoff was made; later ones follow it."
    )
    count: int = Field(description="How many messages the conversation had, those not listed here included.")
    complete: bool = Field(description="All of them are listed, and were checked against the store.")
    older_url: str | None = Field(description="Where those that are not listed can be read.")


class Routing(_Part):
    queue: str
    skills: list[dict[str, Any]]
    language: str | None = None
    priority: int
    enqueued_at: str
    sticky_agent: str | None = None
    sla: dict[str, Any] | None = None
    hours_state: str | None = None


class Privacy(_Part):
    redactions: list[dict[str, Any]] | None = None
    masked_fields: list[str]


class Back(_Part):
    writable_slots: list[str] | None = None
    on_resolve: Literal["close"] = "close"


class Context(_Part):
    """Everything that is known when a person is asked for."""

    handoff: HandoffPart
    trigger: Trigger
    summary: Summary
    channel: Channel
    customer: Customer
    understanding: list[Understood]
    dialogue: Dialogue
    lookups: list[Lookup]
    attempted: list[Attempt]
    transcript: Transcript
    routing: Routing
    privacy: Privacy
    back: Back


class Later(_Part):
    """What became known after the handoff was made, from turns that were under way: nothing of it reached the customer."""

    last_seq: int = Field(description="Number of the conversation's last message now.")
    lookups: list[Lookup]
    effects: list[dict[str, Any]]


class ContextNow(Context):
    """The context as the desk shows it, with what came later beside it."""

    later: Later
