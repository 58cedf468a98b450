"""Plain, frozen, serialisable messages. No SDK object and no socket ever travels inside one."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import uuid_utils

MAX_TEXT = 4096
"""Characters a message may hold."""

# C0 and C1 controls except tab and newline, plus the code points that no encoder accepts.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def new_id() -> str:
    """An opaque identifier, 32 hexadecimal digits, increasing with time."""
    return uuid_utils.uuid7().hex


def rfc3339(moment: int) -> str:
    """Milliseconds since 1970 as an RFC 3339 string in UTC, e.g. `2026-01-31T09:30:00.250Z`."""
    stamp = datetime.fromtimestamp(moment / 1000, UTC)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clean_text(text: str) -> str:
    """Text that every database and every client can hold: without control characters and lone surrogates."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", unified))


class AuthorKind(StrEnum):
    CUSTOMER = "customer"
    ASSISTANT = "assistant"
    AGENT = "agent"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a message; `name` is shown, `id` is an agent's or a customer's."""

    kind: AuthorKind
    name: str | None = None
    id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As PROTOCOLS show it: kind, and name where there is one."""
        return {"kind": self.kind.value} | ({"name": self.name} if self.name else {})


ASSISTANT = Author(AuthorKind.ASSISTANT)
SYSTEM = Author(AuthorKind.SYSTEM)


@dataclass(frozen=True, slots=True)
class Choice:
    """A quick reply: `title` is shown, `payload` goes to the assistant when it is taken."""

    title: str
    payload: str


@dataclass(frozen=True, slots=True)
class Text:
    """Text content, with the choices offered beside it."""

    text: str
    choices: tuple[Choice, ...] = ()

    def as_json(self) -> dict[str, Any]:
        content: dict[str, Any] = {"kind": "text", "text": self.text}
        if self.choices:
            content["choices"] = [{"title": c.title, "payload": c.payload} for c in self.choices]
        return content


Content = Text
"""What a message holds. Media, location and surveys join with the channels that carry them."""


def content_from_json(content: dict[str, Any]) -> Content:
    """The content that `as_json` wrote, or that an assistant answered.

    Raises:
        ValueError: the kind is unknown, or a field is missing or of the wrong type.
    """
    if content.get("kind") != "text" or not isinstance(content.get("text"), str):
        raise ValueError("content must be {'kind': 'text', 'text': ...}")
    choices = tuple(Choice(str(c["title"]), str(c["payload"])) for c in content.get("choices") or ())
    return Text(clean_text(content["text"]), choices)


@dataclass(frozen=True, slots=True)
class Sender:
    """A customer's address on one of our accounts, as a connector knows it.

    `outbox` says that replies must be sent by a delivery worker; web chat reads them from the thread instead.
    """

    account: str
    channel: str
    address: str
    provider: str = ""
    name: str | None = None
    locale: str | None = None
    outbox: bool = True


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message from a customer, as a connector parsed it.

    `event_id` is the provider's, unique within account and kind of event; web chat's is the client's id, prefixed by
    the thread. `choice` names an offer that was taken: the `seq` of the message that made it, and its payload.
    """

    sender: Sender
    event_id: str
    text: str = ""
    choice: tuple[int, str] | None = None
    client_id: str | None = None
    kind: str = "message"

    def fingerprint(self) -> str:
        """Tells a repeated event from another one under the same id."""
        raw = json.dumps([self.text, self.choice], ensure_ascii=True).encode()
        return hashlib.sha256(raw).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of an inbound message. `duplicate`: it had been accepted before, and `seq` is that one's."""

    thread: str
    conversation: str
    message: str
    seq: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message for a connector to send. `id` is stable over retries: an idempotency key."""

    id: str
    account: str
    channel: str
    address: str
    thread: str
    seq: int
    author: Author
    content: Content


@dataclass(frozen=True, slots=True)
class Receipt:
    """A vendor took the message and calls it `provider_id`."""

    provider_id: str


class Status(StrEnum):
    """Delivery status of a message; it only moves forward in this order, `failed` from any but `read`."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Message:
    """A message as stored. `seq` is None for what the customer must not see. Times are milliseconds since 1970."""

    id: str
    thread: str
    conversation: str
    seq: int | None
    author: Author
    content: Content
    sent_at: int
    client_id: str | None = None
    choice: str | None = None
    status: str = Status.SENT.value
    turn: str | None = None
    understood: dict[str, Any] | None = field(default=None, hash=False)

    def for_customer(self) -> dict[str, Any]:
        """The web chat's `message` frame without its `type`."""
        frame: dict[str, Any] = {"seq": self.seq}
        if self.client_id and self.author.kind is AuthorKind.CUSTOMER:
            frame["id"] = self.client_id
        return frame | {
            "author": self.author.as_json(),
            "content": self.content.as_json(),
            "sent_at": rfc3339(self.sent_at),
        }

    def for_desk(self) -> dict[str, Any]:
        """The desk's Message: the web chat's, with ids, status and what was understood."""
        body: dict[str, Any] = {
            "id": self.id,
            "conversation": self.conversation,
            "seq": self.seq,
            "author": self.author.as_json() | ({"id": self.author.id} if self.author.id else {}),
            "content": self.content.as_json(),
            "sent_at": rfc3339(self.sent_at),
            "status": self.status,
        }
        if self.client_id and self.author.kind is AuthorKind.AGENT:
            body["client_id"] = self.client_id
        return body | ({"understood": self.understood} if self.understood else {})
