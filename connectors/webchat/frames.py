"""Bodies and frames of web chat: one model each, for parsing what clients send and for the published JSON Schemas."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    UrlConstraints,
    ValidationError,
)

from conversations.messages import MAX_TEXT, clean_text

MAX_FRAME = 64 * 1024
"""Bytes of a frame."""
MAX_SEQ = 2**31 - 1

FrameId = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
SentText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
Seq = Annotated[int, Field(ge=1, le=MAX_SEQ)]
Count = Annotated[int, Field(ge=0, le=MAX_SEQ)]
Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", json_schema_extra={"format": "date-time"}),
]
Locale = Annotated[str, StringConstraints(max_length=35, pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]


class _Strict(BaseModel):
    """Types are taken as they come; what a model does not know is left aside."""

    model_config = ConfigDict(strict=True, frozen=True)


# ------------------------------------------------------------------- bodies


class SessionRequest(_Strict):
    """Body of `POST /chat/session`."""

    account: Annotated[str, StringConstraints(min_length=1, max_length=64)] = "main"
    resume: str | None = None
    identity: Annotated[str, StringConstraints(max_length=8192)] | None = None
    locale: Locale | None = None
    page: Annotated[AnyHttpUrl, UrlConstraints(max_length=2048), Field(strict=False)] | None = None


class SessionOpened(_Strict):
    """Answer of `POST /chat/session`."""

    session: str
    thread: str
    conversation: str | None
    last_seq: Count
    expires_at: Moment


class SessionEndedBody(_Strict):
    """Answer of `POST /chat/session/end`."""

    ended: Literal[True]


class ErrorDetail(_Strict):
    code: Annotated[str, StringConstraints(pattern="^[a-z][a-z_]*$")]
    message: str
    details: dict[str, Any] = {}


class ErrorBody(_Strict):
    """Every refusal over HTTP."""

    error: ErrorDetail


class Author(_Strict):
    kind: Literal["customer", "assistant", "agent", "system"]
    name: str | None = None


class Choice(_Strict):
    title: str
    payload: str


class TextContent(_Strict):
    kind: Literal["text"]
    text: str
    choices: list[Choice] = []


class Message(_Strict):
    """A message of the thread. `id` is the client's own, on the customer's messages."""

    seq: Seq
    id: str | None = None
    author: Author
    content: TextContent
    sent_at: Moment


class MessagesPage(_Strict):
    """Answer of `GET /chat/messages`, newest last."""

    messages: list[Message]
    more: bool


# ----------------------------------------------------- frames of the client


class Hello(_Strict):
    type: Literal["hello"]
    session: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    last_seq: Count = 0


class SendMessage(_Strict):
    type: Literal["message"]
    id: FrameId
    text: SentText


class SendChoice(_Strict):
    type: Literal["choice"]
    id: FrameId
    seq: Seq
    payload: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]


class SendAttachment(_Strict):
    """Not yet served: answered by the error `not_supported`."""

    type: Literal["attachment"]
    id: FrameId
    upload: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    caption: Annotated[str, StringConstraints(max_length=MAX_TEXT)] | None = None


class SendSurvey(_Strict):
    """Not yet served: answered by the error `not_supported`."""

    type: Literal["survey"]
    id: FrameId
    seq: Seq
    score: Annotated[int, Field(ge=0, le=10)]
    comment: Annotated[str, StringConstraints(max_length=MAX_TEXT)] | None = None


class CancelQueue(_Strict):
    type: Literal["cancel_queue"]


class EndConversation(_Strict):
    type: Literal["end"]


class CustomerTyping(_Strict):
    type: Literal["typing"]


class CustomerRead(_Strict):
    type: Literal["read"]
    seq: Seq


class Ping(_Strict):
    type: Literal["ping"]


ClientFrame = (
    Hello
    | SendMessage
    | SendChoice
    | SendAttachment
    | SendSurvey
    | CancelQueue
    | EndConversation
    | CustomerTyping
    | CustomerRead
    | Ping
)
_CLIENT: dict[str, type[ClientFrame]] = {
    "hello": Hello,
    "message": SendMessage,
    "choice": SendChoice,
    "attachment": SendAttachment,
    "survey": SendSurvey,
    "cancel_queue": CancelQueue,
    "end": EndConversation,
    "typing": CustomerTyping,
    "read": CustomerRead,
    "ping": Ping,
}

# ----------------------------------------------------- frames of the server

ControlWord = Literal["assistant", "queue", "agent", "closed"]


class Welcome(_Strict):
    """`control` is `closed` while no conversation is open; `name` is the agent's."""

    type: Literal["welcome"]
    thread: str
    conversation: str | None
    control: ControlWord
    last_seq: Count
    name: str | None = None
    truncated: Literal[True] | None = None


class Ack(_Strict):
    type: Literal["ack"]
    id: str
    seq: Seq


class MessageHeard(Message):
    type: Literal["message"]


class ConversationBegan(_Strict):
    type: Literal["conversation"]
    conversation: str
    after_seq: Count


class ControlChanged(_Strict):
    type: Literal["control"]
    control: ControlWord
    name: str | None = None
    reason: str | None = None


class QueuePlace(_Strict):
    """`wait` in seconds; null while nobody can say."""

    type: Literal["queue"]
    position: Seq
    wait: Count | None


class Typing(_Strict):
    """Lasts 6 seconds."""

    type: Literal["typing"]
    author: Author


class Read(_Strict):
    """The other side has read up to `seq`."""

    type: Literal["read"]
    seq: Seq


class Pong(_Strict):
    type: Literal["pong"]


class ErrorFrame(_Strict):
    """`then`: what the client should do. `retry_after` in seconds."""

    type: Literal["error"]
    id: str | None = None
    code: Literal[
        "bad_frame",
        "unknown_type",
        "too_long",
        "rate_limited",
        "id_reused",
        "not_offered",
        "no_upload",
        "not_supported",
        "session_expired",
        "unavailable",
    ]
    message: str
    then: Literal["drop", "retry", "reconnect", "end"]
    retry_after: Annotated[float, Field(ge=0, strict=False)] | None = None


ServerFrame = (
    Welcome
    | Ack
    | MessageHeard
    | ConversationBegan
    | ControlChanged
    | QueuePlace
    | Typing
    | Read
    | Pong
    | ErrorFrame
)

# ------------------------------------------------------------------ parsing


class FrameError(Exception):
    """A frame that is refused: the error's code, words for a person, and the frame's id where it has one."""

    def __init__(self, code: str, message: str, frame_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.frame_id = frame_id


def parse(raw: str) -> ClientFrame:
    """The frame in the text `raw`.

    Raises:
        FrameError: `too_long`, `bad_frame` or `unknown_type`.
    """
    if len(raw) > MAX_FRAME or len(raw.encode(errors="surrogatepass")) > MAX_FRAME:
        raise FrameError("too_long", f"a frame holds at most {MAX_FRAME} bytes")
    body = _object(raw)
    frame_id = _readable_id(body)
    kind = body.get("type")
    if not isinstance(kind, str):
        raise FrameError("bad_frame", "a frame needs a type", frame_id)
    model = _CLIENT.get(kind)
    if model is None:
        raise FrameError("unknown_type", "there is no such type of frame", frame_id)
    try:
        return model.model_validate(_cleaned(body))
    except ValidationError as error:
        raise _refusal(error, frame_id) from None


def _object(raw: str) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise FrameError("bad_frame", "a frame is a JSON object") from None
    if not isinstance(body, dict):
        raise FrameError("bad_frame", "a frame is a JSON object")
    return body


def _readable_id(body: dict[str, Any]) -> str | None:
    value = body.get("id")
    return value if isinstance(value, str) and len(value) <= 128 and value.isascii() else None


def _cleaned(body: dict[str, Any]) -> dict[str, Any]:
    """What people type may hold anything; identifiers may not, and are left for the model to refuse."""
    typed = {name: body[name] for name in ("text", "caption", "comment") if isinstance(body.get(name), str)}
    cleaned = {name: clean_text(value) for name, value in typed.items()}
    return body | {name: value if value.strip() else "" for name, value in cleaned.items()}


def _refusal(error: ValidationError, frame_id: str | None) -> FrameError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "string_too_long" and place in ("text", "caption", "comment"):
        return FrameError("too_long", f"a message holds at most {MAX_TEXT} characters", frame_id)
    return FrameError("bad_frame", f"{place}: {first['msg']}", frame_id)


# ------------------------------------------------------------------ schemas

_BODIES: tuple[type[BaseModel], ...] = (
    SessionRequest,
    SessionOpened,
    SessionEndedBody,
    MessagesPage,
    ErrorBody,
)


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas (2020-12) by name: every body, and the unions `ChatClientFrame` and `ChatServerFrame`.

    Optional fields are left out by the server rather than sent as null, unless a schema says that they may be null.
    """
    found = {f"Chat{model.__name__}": model.model_json_schema() for model in _BODIES}
    client: TypeAdapter[Any] = TypeAdapter(Annotated[ClientFrame, Field(discriminator="type")])
    server: TypeAdapter[Any] = TypeAdapter(Annotated[ServerFrame, Field(discriminator="type")])
    return found | {"ChatClientFrame": client.json_schema(), "ChatServerFrame": server.json_schema()}
