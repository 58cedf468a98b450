"""What the front door may send, and what a customer's words may never do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.request import MAX_TEXT_CHARACTERS, BadRequest, as_words, read_request

GOOD: dict[str, Any] = {
    "turn": "t1",
    "conversation": "c1",
    "message": {"text": "hello"},
    "context": {},
    "state": None,
}


def _body(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"turn": NaN}', "not JSON"),
        (b"[]", "the body is not an object"),
        (_body(turn=None), "turn is not an id"),
        (_body(turn=""), "turn is not an id"),
        (_body(turn="x" * 201), "turn is not an id"),
        (_body(conversation=7), "conversation is not an id"),
        (_body(message=None), "message is not an object"),
        (_body(message={}), "either text or choice"),
        (_body(message={"text": "a", "choice": "/b"}), "either text or choice"),
        (_body(message={"text": 7}), "message.text is not text"),
        (_body(message={"text": "x" * (MAX_TEXT_CHARACTERS + 1)}), "message.text is longer"),
        (_body(message={"choice": ""}), "message.choice is empty"),
        (_body(message={"choice": "/"}), "message.choice is not /intent"),
        (_body(message={"choice": "/give monday"}), "message.choice is not /intent"),
        (_body(message={"choice": "/give{day}"}), "not JSON"),
        (_body(message={"choice": "/give@0.1"}), "message.choice is not /intent"),
        (_body(context=[]), "context is not an object"),
        (_body(context={"verification": "order"}), "context.verification is not an object"),
    ],
)
def test_malformed_requests_say_what_is_wrong(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why.replace(".", r"\.")):
        read_request(body)


def test_words_keep_their_place() -> None:
    asked = read_request(_body(message={"text": " \u200b / where is AB123?  "}))
    assert (asked.text, asked.shift, asked.is_choice) == ("where is AB123?", 5, False)


@pytest.mark.parametrize(
    "payload", ["/greet", '/give{"day": "monday"}', ' /give{"day": ["monday", "friday"]} ']
)
def test_choices_go_through_as_commands(payload: str) -> None:
    asked = read_request(_body(message={"choice": payload}))
    assert (asked.text, asked.is_choice) == (payload.strip(), True)


def test_a_choice_without_command_is_words() -> None:
    asked = read_request(_body(message={"choice": "Monday"}))
    assert (asked.text, asked.is_choice) == ("Monday", False)


COMMANDS = [
    "/restart",
    "/greet",
    '/give{"day": "monday"}',
    '/intent{"order_number": "FY-1"}',
    "//restart",
    "/back",
]
FRONTS = [
    "",
    " ",
    "\t\r\n",
    "\ufeff",
    "\u200b",
    "\u200e\u2060",
    "\xa0",
    "\u3000",
    "\u2800",
    "\u3164",
    "\x00",
    "/",
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("front", FRONTS)
def test_typed_commands_are_words(front: str, command: str) -> None:
    words, shift = as_words(front + command)
    assert not words.strip().startswith("/")
    assert words == words.strip()
    assert shift >= 1


def test_commands_in_full_width_are_words() -> None:
    assert as_words("\uff0frestart")[0] == "restart"


@given(st.text(max_size=40).map(lambda front: front + "/restart") | st.text(max_size=60))
def test_no_text_is_a_command(text: str) -> None:
    words, shift = as_words(text)
    assert not words.strip().startswith("/")
    words.encode()
    assert shift <= len(text)
    assert len(words) + shift <= len(text)
