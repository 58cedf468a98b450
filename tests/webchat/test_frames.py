"""Parsing what clients send, and the published schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from connectors.webchat.frames import FrameError, SendMessage, parse, schemas
from conversations.messages import MAX_TEXT

GOOD: list[dict[str, Any]] = [
    {"type": "hello", "session": "x.y.z", "last_seq": 0},
    {"type": "message", "id": "a", "text": "hi"},
    {"type": "choice", "id": "a", "seq": 12, "payload": "/x"},
    {"type": "attachment", "id": "a", "upload": "u", "caption": "c"},
    {"type": "survey", "id": "a", "seq": 31, "score": 9, "comment": "c"},
    {"type": "cancel_queue"},
    {"type": "end"},
    {"type": "typing"},
    {"type": "read", "seq": 12},
    {"type": "ping"},
]


def refused(raw: str) -> FrameError:
    with pytest.raises(FrameError) as caught:
        parse(raw)
    return caught.value


@pytest.mark.parametrize("frame", GOOD, ids=lambda frame: str(frame["type"]))
def test_every_frame_of_the_protocol_is_taken_and_published(frame: dict[str, Any]) -> None:
    assert parse(json.dumps(frame)).type == frame["type"]
    assert parse(json.dumps(frame | {"of_a_later_version": 1})).type == frame["type"]
    Draft202012Validator(schemas()["ChatClientFrame"]).validate(frame)


@pytest.mark.parametrize("name", sorted(schemas()))
def test_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name])


@pytest.mark.parametrize(
    "raw",
    ["", "hi", "{", "[]", "null", "7", '"text"', "[" * 5000, '{"a":' * 3000, "9" * 5000, "{}", '{"type": 7}'],
)
def test_what_is_no_frame_is_a_bad_frame(raw: str) -> None:
    assert refused(raw).code == "bad_frame"


def test_a_type_of_another_version_is_unknown() -> None:
    error = refused('{"type": "dance", "id": "a"}')
    assert (error.code, error.frame_id) == ("unknown_type", "a")


def wrongs_of(value: object) -> list[object]:
    return [None, [], {}, True, 1.5, -1, "" if isinstance(value, str) else "1"]


@pytest.mark.parametrize("frame", GOOD, ids=lambda frame: str(frame["type"]))
def test_missing_and_ill_typed_fields_are_bad_frames(frame: dict[str, Any]) -> None:
    schema = Draft202012Validator(schemas()["ChatClientFrame"])
    for name in frame.keys() - {"type", "last_seq", "caption", "comment"}:
        short = {key: value for key, value in frame.items() if key != name}
        assert refused(json.dumps(short)).code == "bad_frame"
        for wrong in wrongs_of(frame[name]):
            bad = frame | {name: wrong}
            assert refused(json.dumps(bad)).code == "bad_frame"
            assert not schema.is_valid(bad)


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\0", "\x07\x1b", "\u2003"])
def test_a_message_without_words_is_a_bad_frame(text: str) -> None:
    assert refused(json.dumps({"type": "message", "id": "a", "text": text})).code == "bad_frame"


@pytest.mark.parametrize("identifier", ["a b", "a\0", "\ud800", "é", "a" * 129, "a\n"])
def test_identifiers_are_printable_ascii(identifier: str) -> None:
    assert refused(json.dumps({"type": "message", "id": identifier, "text": "x"})).code == "bad_frame"


def message_of(text: str) -> SendMessage:
    frame = parse(json.dumps({"type": "message", "id": "a", "text": text}, ensure_ascii=False))
    assert isinstance(frame, SendMessage)
    return frame


def test_characters_are_code_points() -> None:
    assert message_of("😀" * MAX_TEXT).text == "😀" * MAX_TEXT
    raw = json.dumps({"type": "message", "id": "a", "text": "😀" * (MAX_TEXT + 1)})
    error = refused(raw)
    assert (error.code, error.frame_id) == ("too_long", "a")


def test_a_frame_is_measured_in_bytes() -> None:
    filler = "é" * 40_000
    assert refused(json.dumps({"type": "ping", "filler": filler}, ensure_ascii=False)).code == "too_long"
    assert parse(json.dumps({"type": "ping", "filler": filler[:30_000]}, ensure_ascii=False)).type == "ping"


def test_what_no_database_can_hold_is_cleaned() -> None:
    raw = r'{"type": "message", "id": "a", "text": "a\u0000b\ud800c\u0007d\r\ne"}'
    frame = parse(raw)
    assert isinstance(frame, SendMessage)
    assert frame.text == "ab\ufffdcd\ne"


@pytest.mark.parametrize(
    "number", ["1e400", "NaN", "Infinity", "2147483648", "99999999999999999999", "1.0", "true"]
)
def test_odd_numbers_are_bad_frames(number: str) -> None:
    assert refused(f'{{"type": "read", "seq": {number}}}').code == "bad_frame"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_no_json_breaks_the_parser(value: object) -> None:
    for body in (value, {"type": "message", "id": "a", "text": value}, {"type": "hello", "session": value}):
        try:
            parse(json.dumps(body))
        except FrameError as error:
            assert error.code in ("bad_frame", "unknown_type", "too_long")  # noqa: PT017
