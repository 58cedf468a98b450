"""The terminal client against a small stand-in of the web chat."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSCloseCode, web
from aiohttp.test_utils import TestServer
from rich.console import Console

from frontdoor.chat import ChatClient, ChatError, Frame, Patience, Place
from frontdoor.chat_screen import Session, Terminal, chat, clean, render
from frontdoor.up import free_port

QUICK = Patience(first=0.01, most=0.02, attempts=5, at_first=5)


@dataclass
class FrontDoor:
    """Answers as the protocol says; a test changes how it behaves through its fields."""

    url: str = ""
    messages: list[Frame] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    app_keys: list[str | None] = field(default_factory=list)
    refuse: int = 0
    drop_before_ack: int = 0
    close_with: int = 0
    answers: Callable[[Frame], list[Frame]] = lambda frame: []

    async def open(self, request: web.Request) -> web.Response:
        self.app_keys.append(request.headers.get("X-Foyer-App"))
        if self.refuse:
            return web.json_response(
                {"error": {"code": "no", "message": "not from here"}}, status=self.refuse
            )
        self.sessions.append(await request.json())
        last = len(self.messages)
        body = {
            "session": f"token-{len(self.sessions)}",
            "thread": "t",
            "conversation": None,
            "last_seq": last,
        }
        return web.json_response({**body, "expires_at": "2099-01-01T00:00:00Z"}, status=201)

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        hello = await socket.receive_json()
        if self.close_with:
            code, self.close_with = self.close_with, 0
            await socket.close(code=code)
            return socket
        await socket.send_json({"type": "welcome", "thread": "t", "control": "assistant", "last_seq": 0})
        for message in self.messages[hello["last_seq"] :]:
            await socket.send_json(message)
        async for raw in socket:
            await self.take(socket, json.loads(raw.data))
        return socket

    async def take(self, socket: web.WebSocketResponse, frame: Frame) -> None:
        self.frames.append(frame)
        if "id" not in frame:
            return
        if self.drop_before_ack:
            self.drop_before_ack -= 1
            await socket.close(code=WSCloseCode.GOING_AWAY)
            return
        own = self.say("customer", frame.get("text", frame.get("payload")), id=frame["id"])
        await socket.send_json({"type": "ack", "id": frame["id"], "seq": own["seq"]})
        for sent in [own, own, *self.answers(frame)]:
            await socket.send_json(sent)

    def say(self, kind: str, text: object, **more: Any) -> Frame:
        choices = {"choices": more.pop("choices")} if "choices" in more else {}
        content = {"kind": "text", "text": text, **choices}
        author = {"kind": kind, **({"name": more.pop("name")} if "name" in more else {})}
        message = {
            "type": "message",
            "seq": len(self.messages) + 1,
            "author": author,
            "content": content,
            **more,
        }
        self.messages.append(message)
        return message


@pytest.fixture
async def front_door() -> AsyncIterator[FrontDoor]:
    door = FrontDoor()
    app = web.Application()
    app.add_routes([web.post("/chat/session", door.open), web.get("/chat/ws", door.socket)])
    async with TestServer(app) as server:
        door.url = str(server.make_url("/")).rstrip("/")
        yield door


class Customer:
    """A client and what it heard."""

    def __init__(self, url: str, **options: Any) -> None:
        self.heard: asyncio.Queue[Frame] = asyncio.Queue()
        self.told: list[str] = []
        self.client = ChatClient(
            url, heard=self.heard.put_nowait, told=self.told.append, patience=QUICK, **options
        )
        self.running = asyncio.create_task(self.client.run())

    async def hears(self, kind: str) -> Frame:
        while (frame := await self.heard.get()).get("type") != kind:
            pass
        return frame

    async def ends(self) -> str:
        with pytest.raises(ChatError) as caught:
            await self.running
        return str(caught.value)

    async def __aenter__(self) -> Customer:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


async def test_a_message_is_acknowledged_and_heard_once(front_door: FrontDoor) -> None:
    async with Customer(front_door.url, app_key="the key") as customer:
        await customer.hears("welcome")
        sent = await customer.client.say("hi")
        assert await customer.client.all_acknowledged(10)
        own = await customer.hears("message")
        assert own["id"] == sent
        assert customer.client.is_own(own)
        assert customer.heard.empty(), "the second copy of the same seq is dropped"
    assert front_door.app_keys == ["the key"]


async def test_what_was_not_acknowledged_is_sent_again_under_the_same_id(front_door: FrontDoor) -> None:
    front_door.drop_before_ack = 2
    async with Customer(front_door.url) as customer:
        await customer.hears("welcome")
        await customer.client.say("where is my order")
        assert await customer.client.all_acknowledged(20)
    sent = [frame for frame in front_door.frames if frame["type"] == "message"]
    assert len(sent) == 3
    assert len({frame["id"] for frame in sent}) == 1
    assert len(front_door.sessions) == 1, "a lost connection takes the same session"
    assert any("trying again" in line for line in customer.told)


async def test_after_a_reconnection_only_what_was_missed_comes(front_door: FrontDoor) -> None:
    front_door.say("assistant", "one")
    async with Customer(front_door.url, replay=20) as customer:
        assert (await customer.hears("message"))["seq"] == 1
        front_door.drop_before_ack = 1
        front_door.say("assistant", "two")
        await customer.client.say("hi")
        assert [(await customer.hears("message"))["seq"] for _ in range(2)] == [2, 3]


async def test_an_ended_session_is_replaced_through_resume(front_door: FrontDoor) -> None:
    front_door.close_with = 4401
    front_door.say("assistant", "one")
    async with Customer(front_door.url, place=Place("old", "t", 1)) as customer:
        await customer.hears("welcome")
        assert customer.client.place == Place("token-2", "t", 1)
    assert front_door.sessions == [{"resume": "old"}, {"resume": "token-1"}]


async def test_a_new_start_hears_what_it_missed_and_nothing_twice(front_door: FrontDoor) -> None:
    for text in ("one", "two", "three"):
        front_door.say("assistant", text)
    async with Customer(front_door.url, place=Place("old", "t", 1)) as customer:
        assert [(await customer.hears("message"))["seq"] for _ in range(2)] == [2, 3]
    async with Customer(front_door.url, place=customer.client.place) as customer:
        await customer.hears("welcome")
        await customer.client.say("hi")
        assert (await customer.hears("message"))["seq"] == 4


async def test_in_another_thread_it_begins_at_the_beginning(front_door: FrontDoor) -> None:
    front_door.say("assistant", "one")
    async with Customer(front_door.url, place=Place("foreign", "another thread", 7)) as customer:
        assert (await customer.hears("message"))["seq"] == 1
        assert not customer.client.resumed


@pytest.mark.parametrize(
    ("code", "told"), [(4403, "FOYER_CHAT_ORIGINS"), (4409, "too many places"), (4400, "version")]
)
async def test_a_final_refusal_ends_with_what_to_do(front_door: FrontDoor, code: int, told: str) -> None:
    front_door.close_with = code
    async with Customer(front_door.url) as customer:
        assert told in await customer.ends()


async def test_a_wrong_app_key_is_said_with_a_remedy(front_door: FrontDoor) -> None:
    front_door.refuse = 403
    async with Customer(front_door.url) as customer:
        told = await customer.ends()
    assert "not from here" in told
    assert "--home" in told


async def test_nobody_there_is_said_with_a_remedy() -> None:
    async with Customer(f"http://127.0.0.1:{free_port()}") as customer:
        assert "./foyer up" in await customer.ends()


async def test_an_error_that_says_drop_forgets_the_message(front_door: FrontDoor) -> None:
    async with Customer(front_door.url) as customer:
        await customer.hears("welcome")
        front_door.drop_before_ack = 99
        identifier = await customer.client.say("x")
        error = {"type": "error", "id": identifier, "code": "too_long", "message": "too long", "then": "drop"}
        await customer.client._take_error(None, error)  # type: ignore[arg-type]
        assert await customer.client.all_acknowledged(0)


def lines(frame: Frame) -> list[str]:
    return [f"{line.who}: {line.text}" if line.who else line.text for line in render(frame)]


@pytest.mark.parametrize(
    ("frame", "shown"),
    [
        ({"type": "queue", "position": 2, "wait": 180}, ["-- number 2 in the queue; about 3 min"]),
        ({"type": "queue", "position": 1, "wait": None}, ["-- number 1 in the queue; how long we can't say"]),
        ({"type": "control", "control": "agent", "name": "Ada"}, ["-- Ada is with you"]),
        ({"type": "control", "control": "assistant"}, ["-- the assistant is with you"]),
        ({"type": "typing", "author": {"kind": "agent", "name": "Ada"}}, ["-- Ada is typing"]),
        ({"type": "typing", "author": {"kind": "customer"}}, []),
        (
            {"type": "error", "code": "rate_limited", "message": "slower, please", "then": "retry"},
            ["-- slower, please (trying again by itself)"],
        ),
        ({"type": "of tomorrow"}, []),
        ({"type": "pong"}, []),
    ],
)
def test_frames_are_shown_in_words(frame: Frame, shown: list[str]) -> None:
    assert lines(frame) == shown


def test_a_message_shows_who_and_its_numbered_choices() -> None:
    content = {
        "kind": "text",
        "text": "Which?",
        "choices": [{"title": "Bill", "payload": "/bill"}, {"title": "Order"}],
    }
    frame = {"type": "message", "seq": 1, "author": {"kind": "agent", "name": "Ada"}, "content": content}
    assert lines(frame) == ["Ada (human): Which?", "  1  Bill", "  2  Order"]


def test_text_of_others_cannot_move_the_cursor() -> None:
    assert clean("a\x1b[2Jb\x07\r\nc\u009bd") == "a[2Jb\ncd"


def pipe(typed: str) -> tuple[Terminal, io.StringIO]:
    shown = io.StringIO()
    return Terminal(io.StringIO(typed), Console(file=shown, highlight=False, soft_wrap=True)), shown


async def test_in_a_pipe_each_line_waits_for_its_answer(front_door: FrontDoor, tmp_path: Path) -> None:
    def answer(frame: Frame) -> list[Frame]:
        if frame["type"] == "choice":
            return [front_door.say("assistant", f"you took {frame['payload']}")]
        return [front_door.say("assistant", "Which?", choices=[{"title": "Bill", "payload": "/bill"}])]

    front_door.answers = answer
    terminal, shown = pipe("hello\n\n1\n//quit is a word\n")
    assert await chat(front_door.url, "", tmp_path / "place", terminal=terminal) == 0
    asked = [frame for frame in front_door.frames if frame["type"] != "read"]
    assert [(f["type"], f.get("text") or f.get("payload")) for f in asked] == [
        ("message", "hello"),
        ("choice", "/bill"),
        ("message", "/quit is a word"),
    ]
    assert shown.getvalue().splitlines() == [
        "assistant: Which?",
        "  1  Bill",
        "assistant: you took /bill",
        "assistant: Which?",
        "  1  Bill",
    ]
    kept = tmp_path / "place"
    assert json.loads(kept.read_text()) == {"session": "token-1", "thread": "t", "last_seq": 6}
    assert kept.stat().st_mode & 0o777 == 0o600

    terminal, _ = pipe("")
    await chat(front_door.url, "", tmp_path / "place", terminal=terminal)
    assert front_door.sessions[-1] == {"resume": "token-1"}
    terminal, _ = pipe("")
    await chat(front_door.url, "", tmp_path / "place", terminal=terminal, new=True)
    assert front_door.sessions[-1] == {}


async def test_a_line_without_an_answer_is_a_failure(
    front_door: FrontDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "ANSWER", 0.2)
    terminal, _ = pipe("hello\n")
    assert await chat(front_door.url, "", tmp_path / "place", terminal=terminal) == 1


async def test_a_refused_chat_exits_with_two(front_door: FrontDoor, tmp_path: Path) -> None:
    front_door.refuse = 403
    terminal, shown = pipe("hello\n")
    assert await chat(front_door.url, "", tmp_path / "place", terminal=terminal) == 2
    assert "not from here" in shown.getvalue()
