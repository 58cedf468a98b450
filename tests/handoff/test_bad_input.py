"""What a broken or hostile client sends, and what agents may type."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from handoff import desk

from .office import Caller, Office

NASTY = "a\x00b\ud800c\udfff\x1b[2Jd\u202e\U0001f600"
CLEAN = "ab\ufffdc\ufffd[2Jd\u202e\U0001f600"


async def held(office: Office) -> tuple[Caller, str, str]:
    """An agent, and the ids of the handoff and the conversation that they hold."""
    ada = await office.hire("Ada", "supervisor")
    handoff = await office.customer().asks_for_a_person()
    await ada.accept(handoff["id"])
    return ada, handoff["id"], handoff["conversation_id"]


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b"\xff\xfe", 400, "malformed"),
        (b"[]", 400, "malformed"),
        (b"null", 400, "malformed"),
        (b'"text"', 400, "malformed"),
        (b'{"state": NaN}', 400, "malformed"),
        (b'{"state": ' + b"9" * 5000 + b"}", 400, "malformed"),
        (b"[" * 60_000, 400, "malformed"),
        (b'{"state": "asleep"}', 422, "invalid"),
        (b'{"state": ["busy"]}', 422, "invalid"),
        (b"{}", 422, "invalid"),
        (b'{"state": "busy", "reason": "' + b"x" * 81 + b'"}', 422, "too_long"),
        (b'{"state": "' + b"x" * 70_000 + b'"}', 413, "too_large"),
        (b"", 422, "invalid"),
    ],
)
async def test_bodies_that_are_refused(small_office: Office, raw: bytes, status: int, code: str) -> None:
    ada = await small_office.hire("Ada")
    headers = {"Content-Type": "application/json"}
    seen = await ada.call("PUT", "me/presence", data=raw, headers=headers)
    assert (seen.status, seen.code) == (status, code)


async def test_a_body_without_a_length_is_limited_too(small_office: Office) -> None:
    ada = await small_office.hire("Ada")

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 1000

    headers = {"Content-Type": "application/json"}
    seen = await ada.call("PUT", "me/presence", data=endless(), headers=headers)
    assert seen.code == "too_large"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_only_json_is_read(small_office: Office, kind: str) -> None:
    ada = await small_office.hire("Ada")
    headers = {"Content-Type": kind}
    seen = await ada.call("PUT", "me/presence", data=b'{"state": "busy"}', headers=headers)
    assert seen.code == "unsupported_media_type"


async def test_refusals_do_not_repeat_what_was_sent(small_office: Office) -> None:
    ada = await small_office.hire("Ada")
    for path, body in (
        ("login", {"email": 5, "password": ["my secret"]}),
        ("login", {"password": "my secret"}),
    ):
        seen = await ada.post(path, body)
        assert seen.status == 422
        assert "my secret" not in str(seen.body)


TEXTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "login", {"email": NASTY, "password": NASTY}),
    ("PUT", "me/presence", {"state": "busy", "reason": NASTY}),
    ("PUT", "me/presence", {"state": NASTY}),
    ("POST", "handoffs/{h}/decline", {"reason": NASTY}),
    ("POST", "handoffs/{h}/transfer", {"queue": NASTY}),
    ("POST", "handoffs/{h}/transfer", {"agent": NASTY}),
    ("POST", "handoffs/{h}/transfer", {"note": NASTY}),
    ("POST", "handoffs/{h}/return", {"note": NASTY}),
    ("POST", "handoffs/{h}/resolve", {"disposition": NASTY, "note": NASTY}),
    ("POST", "conversations/{c}/messages", {"id": NASTY, "text": NASTY}),
    ("POST", "conversations/{c}/messages", {"id": "1", "text": NASTY, "upload": NASTY}),
    ("POST", "conversations/{c}/messages", {"id": "1", "text": NASTY, "template": {NASTY: NASTY}}),
    ("POST", "conversations/{c}/notes", {"id": NASTY, "text": NASTY}),
)


@pytest.mark.parametrize("case", range(len(TEXTS)))
async def test_nul_and_lone_surrogates_in_every_text(office: Office, case: int) -> None:
    """They never reach the database, and never come back as an error of ours."""
    method, path, body = TEXTS[case]
    ada, handoff, conversation = await held(office)
    if "decline" in path:
        handoff = (await office.customer().asks_for_a_person())["id"]
    seen = await ada.call(method, path.format(h=handoff, c=conversation), body)
    assert seen.status in (200, 201, 401, 422)
    history = await ada.get(f"conversations/{conversation}/messages")
    texts = [m["content"]["text"] for m in history.body["messages"] + history.body["notes"]]
    if seen.status in (200, 201) and ("note" in body or "id" in body):
        assert CLEAN in texts
    assert not any("\x00" in text for text in texts)


def test_every_body_with_texts_is_tried() -> None:
    tried = {(method, path.format(h="{id}", c="{id}")) for method, path, _ in TEXTS}
    with_texts = {
        (route.method, route.path.removeprefix("/desk/api/"))
        for route in desk.ROUTES
        if route.body is not None and route.body.model_fields
    }
    assert with_texts == tried


async def test_only_what_holds_words_can_be_sent(small_office: Office) -> None:
    ada, handoff, conversation = await held(small_office)
    messages = f"conversations/{conversation}/messages"
    for body in ({"id": "1"}, {"text": "x"}, {"id": "1", "text": ""}, {"id": "1", "text": " \n\x00"}):
        assert (await ada.post(messages, body)).status == 422
    assert (await ada.post(messages, {"id": "", "text": "x"})).status == 422
    assert (await ada.post(messages, {"id": "1", "text": "x" * 4097})).code == "too_long"
    assert (await ada.post(messages, {"id": "1", "text": "x", "after_seq": "5"})).code == "invalid"
    assert (await ada.post(messages, {"id": "1", "text": "x", "after_seq": True})).code == "invalid"
    assert (await ada.post(messages, {"id": "1", "text": "x", "after_seq": 2**31})).code == "invalid"
    assert (await ada.post(messages, {"id": "1", "text": "x", "upload": "u"})).code == "not_supported"
    assert (await ada.post(messages, {"id": "1", "template": "t"})).code == "not_supported"
    assert (await ada.post(f"handoffs/{handoff}/transfer", {"agent": "a"})).code == "not_supported"
    assert (await ada.post(f"handoffs/{handoff}/transfer", {"queue": "none"})).code == "unknown_queue"
    assert (await ada.post(f"handoffs/{handoff}/resolve", {})).code == "invalid"
    assert (await ada.post(f"handoffs/{handoff}/resolve", {"disposition": " \x00 "})).code == "invalid"
    emoji = await ada.post(messages, {"id": "1", "text": "\U0001f600" * 4096})
    assert emoji.status == 201
    assert emoji.body["message"]["content"]["text"] == "\U0001f600" * 4096


@pytest.mark.parametrize("value", ["-1", "x", "", "1.5", "1_0", "99999999999", "٣", "0x1"])
async def test_numbers_of_the_query(small_office: Office, value: str) -> None:
    ada, _, conversation = await held(small_office)
    for name in ("before", "limit"):
        path = f"conversations/{conversation}/messages"
        seen = await ada.get(path, params={name: value})
        assert seen.code == "malformed"
    if value != "99999999999":
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await small_office.http.ws_connect(
                small_office.server.make_url("/desk/ws").with_query(after=value), headers=ada.headers
            )
        assert refused.value.status == 400


async def test_markup_in_messages_stays_text(small_office: Office) -> None:
    ada, _, conversation = await held(small_office)
    text = "<script>alert(1)</script> /restart {{7*7}}"
    seen = await ada.post(f"conversations/{conversation}/messages", {"id": "1", "text": text})
    assert seen.body["message"]["content"] == {"kind": "text", "text": text}
    assert seen.headers["Content-Type"].startswith("application/json")


async def test_a_socket_takes_no_orders(small_office: Office) -> None:
    ada, _, _ = await held(small_office)
    socket = await ada.listen()
    await socket.send_str("not json")
    await socket.send_str('{"type": "ping"}')
    assert await socket.receive_json() == {"type": "pong"}
    await socket.send_str("x" * 20_000)
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
