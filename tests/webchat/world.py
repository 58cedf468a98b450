"""A served web chat over a real store, an assistant that a test scripts, and customers who speak the protocol."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from jsonschema import Draft202012Validator

from connectors import webchat
from connectors.webchat import WebchatConfig
from conversations import lifecycle
from conversations.control import Control
from conversations.intake import Intake
from conversations.lifecycle import Lifecycle
from conversations.messages import SYSTEM, Author, AuthorKind, Text
from conversations.store import Store, Transaction, conversations, messages, threads
from conversations.store.conversations import Conversation
from conversations.store.messages import Draft
from conversations.turns import TurnWorker
from tests.conversations.world import ScriptedAssistant, WaitingRoom, end_handoff

ANSWERS = {
    "/chat/session": "ChatSessionOpened",
    "/chat/session/end": "ChatSessionEndedBody",
    "/chat/messages": "ChatMessagesPage",
}


def sealed(schema: Any) -> Any:
    """The schema, allowing no property that it does not name: what is sent must be published."""
    if isinstance(schema, list):
        return [sealed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: sealed(part) for name, part in schema.items()}
    return inner | ({"additionalProperties": False} if "properties" in schema else {})


VALIDATORS = {name: Draft202012Validator(sealed(schema)) for name, schema in webchat.schemas().items()}


def check_frame(frame: object) -> None:
    VALIDATORS["ChatServerFrame"].validate(frame)


def check_body(path: str, status: int, body: object) -> None:
    VALIDATORS[ANSWERS[path] if status < 300 else "ChatErrorBody"].validate(body)


SITE = "https://shop.example"
APP_KEY = "app-key-for-tests"
KEY = b"k" * 32
PATIENCE_S = 10
Frame = dict[str, Any]


@dataclass
class Seconds:
    """A monotonic clock that a test moves. It gains `step` with each look, so that nobody is too fast by default."""

    now: float = 1000.0
    step: float = 1.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@dataclass
class Count:
    """A gauge that can be waited for."""

    value: float = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def set(self, value: float) -> None:
        self.value = value
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def becomes(self, value: float) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: self.value == value)


def config(**changes: Any) -> WebchatConfig:
    values: dict[str, Any] = {
        "key": KEY,
        "origins": (SITE,),
        "app_key": APP_KEY,
        "close_seconds": 0.5,
        "sweep_seconds": 3600,
    }
    return WebchatConfig(**(values | changes))


@dataclass
class House:
    """The server, with verbs for what happens behind it. All that it says is held against the published schemas."""

    store: Store
    server: TestServer
    http: aiohttp.ClientSession
    hub: webchat.Hub
    assistant: ScriptedAssistant
    worker: TurnWorker
    seconds: Seconds
    sockets: Count
    accepted: list[str]

    def url(self, path: str) -> str:
        return str(self.server.make_url(path))

    async def post(
        self, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        given = {"X-Foyer-App": APP_KEY} if headers is None else headers
        async with self.http.post(self.url(path), json=body, headers=given) as answer:
            found = await answer.json()
            check_body(path, answer.status, found)
            return answer.status, found, answer.headers

    async def get(self, path: str, session: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        given = {"Authorization": f"Bearer {session}"} | dict(headers or {})
        async with self.http.get(self.url(path), headers=given) as answer:
            found = await answer.json()
            check_body(path.split("?")[0], answer.status, found)
            return answer.status, found

    async def session(self, **body: object) -> dict[str, Any]:
        status, opened, _ = await self.post("/chat/session", body)
        assert status == 201, opened
        return dict(opened)

    async def customer(self, **body: object) -> Customer:
        """A new customer, connected and welcomed."""
        customer = Customer(self, await self.session(**body))
        await customer.connects()
        return customer

    async def works(self) -> None:
        """The assistant answers everything that is due."""
        await self.worker.run_due()

    async def at_desk(
        self, customer: Customer, job: Callable[[Transaction, Any, Conversation], None]
    ) -> None:
        def run(tx: Transaction) -> None:
            thread = threads.lock(tx, customer.thread)
            conversation = conversations.open_in(tx, thread.id)
            assert conversation is not None
            job(tx, thread, conversation)

        await self.store.write(run)

    async def accepts(self, customer: Customer, agent: str = "Ada") -> None:
        def job(tx: Transaction, thread: Any, conversation: Conversation) -> None:
            lifecycle.take(tx, thread, conversation, agent.lower(), agent)
            accept_handoff(tx, conversation)

        await self.at_desk(customer, job)

    async def agent_says(self, customer: Customer, text: str) -> None:
        def job(tx: Transaction, thread: Any, conversation: Conversation) -> None:
            assert conversation.control is Control.AGENT
            author = Author(AuthorKind.AGENT, conversation.agent_name, conversation.agent_id)
            messages.append(tx, thread, conversation, Draft(author, Text(text)))

        await self.at_desk(customer, job)

    async def returns(self, customer: Customer) -> None:
        def job(tx: Transaction, thread: Any, conversation: Conversation) -> None:
            end_handoff(tx, conversation, "returned")
            lifecycle.return_to_assistant(tx, thread, conversation, "The assistant is back.")

        await self.at_desk(customer, job)

    async def fills(self, customer: Customer, count: int, text: str = "more") -> None:
        """The house says a lot."""

        def job(tx: Transaction, thread: Any, conversation: Conversation) -> None:
            for _ in range(count):
                messages.append(tx, thread, conversation, Draft(SYSTEM, Text(text)))

        await self.at_desk(customer, job)

    async def resolves(self, customer: Customer, disposition: str = "solved") -> None:
        def job(tx: Transaction, thread: Any, conversation: Conversation) -> None:
            end_handoff(tx, conversation, "resolved")
            lifecycle.close(tx, conversation, disposition)

        await self.at_desk(customer, job)


def accept_handoff(tx: Transaction, conversation: Conversation) -> None:
    """What the handoff's own room does in the same transaction: it waits no longer, and the desk hears of it."""
    end_handoff(tx, conversation, "accepted")
    tx.wake("desk")


@dataclass
class Customer:
    """One tab: everything it hears is kept in order, and expectations look at what was not yet looked at."""

    house: House
    opened: dict[str, Any]
    last_seq: int = 0
    heard: list[Frame] = field(default_factory=list)
    welcome: Frame = field(default_factory=dict)
    ids: itertools.count[int] = field(default_factory=itertools.count)
    ws: aiohttp.ClientWebSocketResponse | None = None

    @property
    def thread(self) -> str:
        return str(self.opened["thread"])

    @property
    def token(self) -> str:
        return str(self.opened["session"])

    @property
    def socket(self) -> aiohttp.ClientWebSocketResponse:
        assert self.ws is not None
        return self.ws

    async def dials(self, **headers: str) -> None:
        """A socket, and nothing said yet."""
        self.ws = await self.house.http.ws_connect(self.house.url("/chat/ws"), headers=headers)

    async def connects(self, last_seq: int | None = None) -> Frame:
        await self.dials()
        known = self.last_seq if last_seq is None else last_seq
        await self.sends(type="hello", session=self.token, last_seq=known)
        self.welcome = await self.next()
        assert self.welcome["type"] == "welcome", self.welcome
        return self.welcome

    async def another_tab(self) -> Customer:
        tab = Customer(self.house, self.opened)
        await tab.connects()
        return tab

    async def sends(self, **frame: Any) -> None:
        await self.socket.send_str(json.dumps(frame))

    async def says(self, text: str, identifier: str | None = None) -> str:
        """Sends a message and waits until it is acknowledged."""
        identifier = await self.writes(text, identifier)
        await self.expects("ack", id=identifier)
        return identifier

    async def writes(self, text: str, identifier: str | None = None) -> str:
        identifier = identifier or str(uuid.uuid4())
        await self.sends(type="message", id=identifier, text=text)
        return identifier

    async def next(self) -> Frame:
        """The next frame, as it came."""
        async with asyncio.timeout(PATIENCE_S):
            raw = await self.socket.receive_str()
        frame: Frame = json.loads(raw)
        check_frame(frame)
        if frame["type"] == "message":
            self.last_seq = frame["seq"]
        return frame

    async def expects(self, kind: str, **fields: object) -> Frame:
        """The first frame of this kind with these fields, among those not yet taken; others are kept."""
        for frame in self.heard:
            if _matches(frame, kind, fields):
                self.heard.remove(frame)
                return frame
        while not _matches(frame := await self.next(), kind, fields):
            self.heard.append(frame)
        return frame

    async def hears(self, text: str) -> Frame:
        """Waits for a message with this text."""
        for frame in self.heard:
            if frame["type"] == "message" and frame["content"]["text"] == text:
                self.heard.remove(frame)
                return frame
        while (frame := await self.next())["type"] != "message" or frame["content"]["text"] != text:
            self.heard.append(frame)
        return frame

    async def everything(self) -> list[Frame]:
        """What was sent until now: a ping comes back behind it."""
        await self.sends(type="ping")
        while (frame := await self.next())["type"] != "pong":
            self.heard.append(frame)
        found, self.heard = self.heard, []
        return found

    async def hangs_up(self) -> None:
        await self.socket.close()

    async def is_closed_with(self) -> int | None:
        """Reads to the end; the close code."""
        async with asyncio.timeout(PATIENCE_S):
            async for message in self.socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    frame = json.loads(message.data)
                    check_frame(frame)
                    self.heard.append(frame)
        return self.socket.close_code


def _matches(frame: Frame, kind: str, fields: Mapping[str, object]) -> bool:
    return frame["type"] == kind and all(frame.get(name) == value for name, value in fields.items())


@asynccontextmanager
async def open_house(
    store: Store, settings: WebchatConfig | None = None, assistant: ScriptedAssistant | None = None
) -> AsyncIterator[House]:
    """A served web chat; turns run when a test says `works`."""
    assistant = assistant or ScriptedAssistant()
    life = Lifecycle(WaitingRoom())
    seconds, sockets, accepted = Seconds(), Count(), list[str]()
    app = web.Application()
    webchat.setup(
        app,
        settings or config(),
        store,
        Intake(),
        life,
        accepted=accepted.append,
        sockets=sockets,
        clock=seconds,
    )
    server = TestServer(app)
    await server.start_server()
    try:
        async with aiohttp.ClientSession() as http:
            yield House(
                store,
                server,
                http,
                app[webchat.HUB],
                assistant,
                TurnWorker(store, assistant, life),
                seconds,
                sockets,
                accepted,
            )
    finally:
        await server.close()
