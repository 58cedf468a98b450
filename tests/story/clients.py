"""A customer's app and an agent's program, written from the public protocols alone."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

Frame = dict[str, Any]
PATIENCE_S = 60
"""A limit for a hang, not a measure."""


@dataclass
class Customer:
    """Keeps what it wrote until it is acknowledged, reconnects, and drops what it has already."""

    url: str
    app_key: str
    http: aiohttp.ClientSession
    session: str = ""
    thread: str = ""
    frames: list[Frame] = field(default_factory=list)
    messages: dict[int, Frame] = field(default_factory=dict)
    acks: dict[str, int] = field(default_factory=dict)
    outbox: dict[str, Frame] = field(default_factory=dict)
    repeated: int = 0
    _socket: aiohttp.ClientWebSocketResponse | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Opens a session and stays connected until `leave`."""
        async with asyncio.timeout(PATIENCE_S):
            while not await self._open_session():  # noqa: ASYNC110 - the other side is another process
                await asyncio.sleep(0.2)
        self._task = asyncio.create_task(self._stay())
        await self.until(lambda: any(f["type"] == "welcome" for f in self.frames))

    async def leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def says(self, text: str) -> int:
        """Writes, and returns the message's number once it is acknowledged."""
        frame = {"type": "message", "id": str(uuid.uuid4()), "text": text}
        return await self._sends(frame)

    async def takes(self, title: str) -> int:
        """Takes the choice with this title in the newest message that offers it."""
        for seq in sorted(self.messages, reverse=True):
            for choice in self.messages[seq]["content"].get("choices", ()):
                if choice["title"] == title:
                    frame = {
                        "type": "choice",
                        "id": str(uuid.uuid4()),
                        "seq": seq,
                        "payload": choice["payload"],
                    }
                    return await self._sends(frame)
        raise AssertionError(f"nobody offered {title!r}")

    async def does(self, frame_type: str) -> None:
        """Sends a frame that is not acknowledged: `end`, `cancel_queue`, `typing`."""
        assert self._socket is not None
        await self._socket.send_json({"type": frame_type})

    async def hears(self, *words: str, after: int = 0, author: str | None = None) -> Frame:
        """Waits for a message behind `after` that holds all the words, and returns it."""
        found: list[Frame] = []

        def look() -> bool:
            found[:] = [m for s, m in sorted(self.messages.items()) if s > after and _says(m, words, author)]
            return bool(found)

        await self.until(look, f"hears {words} from {author}")
        return found[0]

    async def sees(self, frame_type: str, **values: Any) -> Frame:
        """Waits for a frame of this type with these values, and returns the newest."""
        found: list[Frame] = []

        def look() -> bool:
            found[:] = [
                f
                for f in self.frames
                if f["type"] == frame_type and all(f.get(k) == v for k, v in values.items())
            ]
            return bool(found)

        await self.until(look, f"sees {frame_type} {values}")
        return found[-1]

    async def until(self, true: Callable[[], bool], what: str = "") -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            told = "\n".join(
                f"{s} {m['author']['kind']}: {m['content']['text']}" for s, m in self.messages.items()
            )
            raise AssertionError(f"never: {what}\n{told}\n{self.frames[-5:]}") from None

    async def _open_session(self) -> bool:
        body = {"resume": self.session} if self.session else {}
        try:
            async with self.http.post(
                f"{self.url}/chat/session", json=body, headers={"X-Foyer-App": self.app_key}
            ) as response:
                answer = await response.json()
        except (aiohttp.ClientError, ValueError):
            return False
        if response.status != 201:
            return False
        self.session, self.thread = answer["session"], answer["thread"]
        return True

    async def _sends(self, frame: Frame) -> int:
        self.outbox[frame["id"]] = frame
        if self._socket is not None and not self._socket.closed:
            # Where this fails, the frame goes out again with the next connection.
            with suppress(ConnectionError, aiohttp.ClientError):
                await self._socket.send_json(frame)
        await self.until(lambda: frame["id"] in self.acks, f"ack of {frame}")
        return self.acks[frame["id"]]

    async def _stay(self) -> None:
        while True:
            # The front door may be down: try again soon.
            with suppress(aiohttp.ClientError, OSError, ValueError, RuntimeError):
                await self._connected()
            await asyncio.sleep(random.uniform(0.05, 0.3))

    async def _connected(self) -> None:
        async with self.http.ws_connect(
            f"{self.url}/chat/ws", headers={"X-Foyer-App": self.app_key}, heartbeat=20
        ) as socket:
            hello = {"type": "hello", "session": self.session, "last_seq": max(self.messages, default=0)}
            await socket.send_json(hello)
            async for raw in socket:
                if raw.type is not aiohttp.WSMsgType.TEXT:
                    continue
                await self._receives(socket, json.loads(raw.data))

    async def _receives(self, socket: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        self.frames.append(frame)
        match frame["type"]:
            case "welcome":
                self._socket = socket
                for waiting in list(self.outbox.values()):
                    await socket.send_json(waiting)
            case "message":
                self.repeated += frame["seq"] in self.messages
                self.messages.setdefault(frame["seq"], frame)
            case "ack":
                self.acks[frame["id"]] = frame["seq"]
                self.outbox.pop(frame["id"], None)
            case "error" if frame.get("id") in self.outbox and frame["then"] == "retry":
                again = self.outbox[frame["id"]]
                asyncio.get_running_loop().call_later(
                    frame.get("retry_after", 0.5), self._again, socket, again
                )
        self._changed.set()

    def _again(self, socket: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        if frame["id"] in self.outbox and not socket.closed:
            self._resending = asyncio.ensure_future(socket.send_json(frame))


def _says(message: Frame, words: tuple[str, ...], author: str | None) -> bool:
    text = message["content"].get("text", "").lower()
    return all(w.lower() in text for w in words) and author in (None, message["author"]["kind"])


@asynccontextmanager
async def customer(url: str, app_key: str) -> AsyncIterator[Customer]:
    """A customer who is connected for the length of the block."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
        someone = Customer(url, app_key, http)
        await someone.begin()
        yield someone
        await someone.leave()


@dataclass
class Agent:
    """An agent's program: state, then numbered events from there."""

    url: str
    http: aiohttp.ClientSession
    me: Frame = field(default_factory=dict)
    events: list[Frame] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def logs_in(self, email: str, password: str) -> None:
        answer = await self.post("login", {"email": email, "password": password})
        self.me = answer["agent"]
        await self._ask("PUT", "me/presence", {"state": "available"})
        state = await self.get("state")
        self._task = asyncio.create_task(self._listen(state["event"]))

    async def leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sees(self, event_type: str, true: Callable[[Frame], bool] = lambda _: True) -> Frame:
        """Waits for an event of this type, and returns the first that fits."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.events:
                    if event["type"] == event_type and true(event):
                        return event
                self._changed.clear()
                await self._changed.wait()

    async def get(self, path: str) -> Frame:
        return await self._ask("GET", path, None)

    async def post(self, path: str, body: Frame | None = None) -> Frame:
        return await self._ask("POST", path, body or {})

    async def _ask(self, method: str, path: str, body: Frame | None) -> Frame:
        async with self.http.request(
            method, f"{self.url}/desk/api/{path}", json=body, headers={"Origin": self.url}
        ) as response:
            text = await response.text()
            assert response.status < 300, f"{method} {path}: {response.status} {text}"
            return dict(json.loads(text)) if text else {}

    async def _listen(self, after: int) -> None:
        async with self.http.ws_connect(
            f"{self.url}/desk/ws?after={after}", headers={"Origin": self.url}
        ) as socket:
            async for raw in socket:
                self.events.append(json.loads(raw.data))
                self._changed.set()


@asynccontextmanager
async def agent(url: str, email: str, password: str) -> AsyncIterator[Agent]:
    """An agent who is logged in for the length of the block."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=20)) as http:
        someone = Agent(url, http)
        await someone.logs_in(email, password)
        yield someone
        await someone.leave()
