"""What the front door sends for a turn: read, checked, and made safe for Rasa.

Text that begins with "/" is a command to Rasa: it would pick an intent and fill slots. What a customer typed is never
one; only the payload of a choice that the assistant offered is, and the front door vouches for that.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, NoReturn

MAX_BODY_BYTES = 512 * 1024
MAX_TEXT_CHARACTERS = 10_000
MAX_PAYLOAD_CHARACTERS = 2_000
MAX_ID_CHARACTERS = 200

_COMMAND = re.compile(r"/(?P<intent>[^\s/{}@]+)(?P<entities>\{.*\})?", re.DOTALL)
# Slashes, and what people take for one.
_SLASHES = "/\uff0f\u2044\u2215\u29f8"
# Letters and symbols by their category, blanks by their look.
_BLANK_LOOKS = "\u115f\u1160\u2800\u3164\uffa0"


class BadRequest(ValueError):
    """The request cannot be served; the message says to a person what is wrong with it."""


@dataclass(frozen=True)
class TurnRequest:
    """A turn to run. `shift` is how many characters were dropped in front of a typed text."""

    turn: str
    conversation: str
    text: str
    shift: int
    is_choice: bool
    context: dict[str, Any]
    state: Any

    @property
    def metadata(self) -> dict[str, Any]:
        """Return what custom actions read from the message's metadata."""
        return {"turn": self.turn, "conversation": self.conversation, "context": self.context}


def read_request(body: bytes) -> TurnRequest:
    """Return the turn that `body` asks for. Raises `BadRequest`."""
    data = _object(_json(body), "the body")
    message = _object(data.get("message"), "message")
    choice, text = message.get("choice"), message.get("text")
    if (choice is None) == (text is None):
        raise BadRequest("message needs either text or choice")
    context = _object(data.get("context", {}), "context")
    if context.get("verification") is not None:
        _object(context["verification"], "context.verification")
    said, shift = (_string(text, "message.text", MAX_TEXT_CHARACTERS), 0) if choice is None else (None, 0)
    if said is None:
        said, is_choice = read_choice(_string(choice, "message.choice", MAX_PAYLOAD_CHARACTERS))
    else:
        is_choice = False
    if not is_choice:
        said, shift = as_words(said)
    return TurnRequest(
        turn=_identifier(data.get("turn"), "turn"),
        conversation=_identifier(data.get("conversation"), "conversation"),
        text=said,
        shift=shift,
        is_choice=is_choice,
        context=context,
        state=data.get("state"),
    )


def read_choice(payload: str) -> tuple[str, bool]:
    """Return a choice's payload and whether it is a command; a payload without "/" is what the choice says."""
    payload = payload.strip()
    if not payload:
        raise BadRequest("message.choice is empty")
    if not payload.startswith("/"):
        return payload, False
    command = _COMMAND.fullmatch(payload)
    if command is None:
        raise BadRequest("message.choice is not /intent or /intent{...}")
    entities = command["entities"]
    if entities is not None:
        _object(_json(entities.encode("utf-8", "replace")), "the entities of message.choice")
    return payload, True


def intent_of(payload: str) -> str:
    """Return the intent that a command names."""
    command = _COMMAND.fullmatch(payload)
    return command["intent"] if command else ""


def as_words(text: str) -> tuple[str, int]:
    """Return typed text that Rasa cannot take for a command, and how many characters were dropped in front.

    Blanks in front are dropped, as Rasa would; slashes among or after them too, in every look.
    """
    text = "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
    text = text.replace("\x00", " ")
    at = 0
    while at < len(text) and (_is_blank(text[at]) or text[at] in _SLASHES):
        at += 1
    return text[at:].rstrip(), at


def _is_blank(character: str) -> bool:
    return (
        character.isspace()
        or character in _BLANK_LOOKS
        or unicodedata.category(character) in {"Cc", "Cf", "Cn", "Co", "Mn", "Me", "Zl", "Zp", "Zs"}
    )


def _json(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest("not JSON") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest(f"{name} is not an object")
    return value


def _string(value: Any, name: str, limit: int) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"{name} is not text")
    if len(value) > limit:
        raise BadRequest(f"{name} is longer than {limit} characters")
    return value


def _identifier(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_ID_CHARACTERS:
        raise BadRequest(f"{name} is not an id of 1 to {MAX_ID_CHARACTERS} characters")
    return value
