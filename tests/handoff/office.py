"""A small office around the handoff room: customers, an assistant that a test scripts, agents at desks over HTTP."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestServer

from conversations.intake import Intake
from conversations.lifecycle import Lifecycle
from conversations.messages import Accepted, Inbound, Sender, Text, new_id
from conversations.ports import HandoffRequest, TurnRequest, TurnResult
from conversations.store import Store, Transaction, conversations, messages, threads
from conversations.store.conversations import Conversation
from conversations.store.tables import agents as agents_table
from conversations.turns import TurnWorker
from handoff import agents, desk, sessions
from handoff.agents import Agent
from handoff.room import HandoffRoom
from handoff.sessions import LoginLimits

from . import contract

ORIGIN = "http://desk.test"

Answer = Callable[[TurnRequest], TurnResult]


def answer(request: TurnRequest) -> TurnResult:
    """Repeats the customer; a word that is a reason code leads to that handoff."""
    words = request.text.split()
    reason = next((w for w in words if w in ("customer_asked", "lookup_failed", "not_understood")), None)
    return TurnResult(
        replies=(Text(f"echo {request.text}"),),
        state={"said": request.text},
        model="model-1",
        understanding={
            "intents": [{"name": "order_status", "confidence": 0.9}, {"name": "bill", "confidence": 0.1}],
            "entities": [{"entity": "order_number", "value": "FY-104233", "start": 0, "end": 9}],
        },
        slots={"order_number": "FY-104233", "proof": "a@b.example"},
        form={"name": "order_form", "requested_slot": "proof"},
        actions=({"name": "action_order_status", "ok": True, "seconds": 0.01},),
        lookups=(
            {
                "action": "action_order_status",
                "asked": {"order_number": "FY-104233"},
                "at": "2026-01-01T00:00:00Z",
                "ok": True,
                "result": {"status": "shipped"},
                "seconds": 0.01,
            },
        ),
        handoff=HandoffRequest(reason) if reason else None,
    )


@dataclass
class ScriptedAssistant:
    answer: Answer = answer

    async def turn(self, request: TurnRequest) -> TurnResult:
        return self.answer(request)


@dataclass
class Seen:
    """A response, read."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])

    @property
    def details(self) -> Any:
        return self.body["error"].get("details")


@dataclass
class Caller:
    """Somebody with an HTTP client; an agent's has a token."""

    office: Office
    headers: dict[str, str] = field(default_factory=dict)
    agent: Agent | None = None

    async def call(self, method: str, path: str, json: Any = None, **options: Any) -> Seen:
        headers = self.headers | options.pop("headers", {})
        url = self.office.server.make_url(path if path.startswith("/") else f"/desk/api/{path}")
        async with self.office.http.request(method, url, json=json, headers=headers, **options) as response:
            raw = await response.read()
            body = await response.json() if raw and response.content_type == "application/json" else raw
            contract.must_answer(method, url.path, response.status, body)
            return Seen(response.status, body, response.headers)

    async def get(self, path: str, **options: Any) -> Seen:
        return await self.call("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> Seen:
        return await self.call("POST", path, json, **options)

    async def put(self, path: str, json: Any = None) -> Seen:
        return await self.call("PUT", path, json)

    async def accept(self, handoff: str) -> Seen:
        return await self.post(f"handoffs/{handoff}/accept")

    async def state(self) -> Any:
        seen = await self.get("state")
        assert seen.status == 200
        return seen.body

    async def listen(self, after: int | None = None, **options: Any) -> aiohttp.ClientWebSocketResponse:
        url = self.office.server.make_url("/desk/ws")
        if after is not None:
            url = url.with_query(after=str(after))
        headers = self.headers | options.pop("headers", {})
        socket: aiohttp.ClientWebSocketResponse = await self.office.http.ws_connect(
            url, headers=headers, **options
        )
        return socket


@dataclass
class Office:
    """Everything but connectors and Rasa, over one store."""

    store: Store
    queues: tuple[str, ...] = ("general", "billing")
    limits: LoginLimits = field(default_factory=LoginLimits)
    assistant: ScriptedAssistant = field(default_factory=ScriptedAssistant)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.intake = Intake()
        self.room = HandoffRoom(queues=self.queues, strict=True)
        self.lifecycle = Lifecycle(self.room)
        self.worker = TurnWorker(self.store, self.assistant, self.lifecycle)

    async def __aenter__(self) -> Self:
        app = web.Application()
        config = desk.DeskConfig("test", (ORIGIN,), limits=self.limits)
        desk.setup(app, config, self.store, self.lifecycle, self.room)
        self.app = app
        self.server = TestServer(app)
        await self.server.start_server()
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()
        await self.server.close()

    async def hire(self, name: str, *roles: str, queues: tuple[str, ...] = ("general",)) -> Caller:
        """An agent with an API token and a password that nobody can use."""
        token = sessions.new_token()

        def job(tx: Transaction) -> Agent:
            values = {
                "id": new_id(),
                "email": f"{name.lower()}@foyer.example",
                "name": name,
                "password_hash": "none",
                "roles": list(roles or ("agent",)),
                "languages": [],
                "queues": list(queues),
                "skills": {},
                "presence": "away",
                "created_at": tx.now,
            }
            tx.conn.execute(sa.insert(agents_table).values(values))
            sessions.begin(tx, str(values["id"]), token, sessions.API, None)
            return agents.find(tx, str(values["id"]))

        agent = await self.store.write(job)
        return Caller(self, {"Authorization": f"Bearer {token}"}, agent)

    def nobody(self) -> Caller:
        return Caller(self)

    def customer(self, address: str | None = None) -> Customer:
        return Customer(self, Sender("main", "webchat", address or f"c{next(self.numbers)}", outbox=False))


@dataclass
class Customer:
    """Somebody who writes; the assistant answers at once."""

    office: Office
    sender: Sender

    async def writes(self, text: str) -> Accepted:
        """Writes without waiting for the assistant."""
        inbound = Inbound(self.sender, f"e{next(self.office.numbers)}", text)
        return await self.office.store.write(lambda tx: self.office.intake.accept(tx, inbound))

    async def says(self, text: str) -> Accepted:
        accepted = await self.writes(text)
        await self.office.worker.run_due()
        return accepted

    async def asks_for_a_person(self) -> Mapping[str, Any]:
        """Gives the handoff's row."""
        accepted = await self.says("customer_asked please")
        return await handoff_of(self.office.store, accepted.conversation)

    async def ends(self) -> None:
        accepted_thread = await self.thread()
        await self.office.store.write(lambda tx: self.office.lifecycle.end_by_customer(tx, accepted_thread))

    async def thread(self) -> str:
        return await self.office.store.write(lambda tx: threads.lock_or_create(tx, self.sender).id)

    async def conversation(self) -> Conversation:
        thread = await self.thread()

        def job(tx: Transaction) -> Conversation:
            found = conversations.latest_in(tx, thread)
            assert found is not None
            return found

        return await self.office.store.read(job)

    async def hears(self) -> list[str]:
        """The whole thread, as `kind: text` lines."""
        thread = await self.thread()
        found = await self.office.store.read(lambda tx: messages.after(tx, thread, 0, 10_000))
        return [f"{m.author.kind}: {m.content.text}" for m in found]


async def handoff_of(store: Store, conversation: str) -> Mapping[str, Any]:
    """The newest handoff of a conversation, as stored."""
    from conversations.store.tables import handoffs

    query = (
        sa.select(handoffs)
        .where(handoffs.c.conversation_id == conversation)
        .order_by(handoffs.c.attempt.desc())
        .limit(1)
    )
    return await store.read(lambda tx: dict(tx.conn.execute(query).one()._mapping))


async def next_event(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The socket's next frame, held against its schema."""
    async with asyncio.timeout(20):
        event = await socket.receive_json()
    contract.must_be_event(event)
    return event


async def close_code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """How the server ends the socket; frames before that are passed over."""
    async with asyncio.timeout(20):
        while not socket.closed:
            await socket.receive()
    return socket.close_code


def reduced(state: Any, event: Any, agent: Agent) -> None:
    """What a desk does with an event: PROTOCOLS' rule, written down once more as a client would."""
    if event.get("event", 0) <= state["event"]:
        return
    state["event"] = event["event"]
    apply = {"handoff": _handoff, "conversation": _conversation, "message": _message, "presence": _presence}
    if event["type"] == "queue":
        state["queues"] = [
            event["queue"] if q["name"] == event["queue"]["name"] else q for q in state["queues"]
        ]
    elif event["type"] in apply:
        apply[event["type"]](state, event, agent)


def _handoff(state: Any, event: Any, agent: Agent) -> None:
    new = event["handoff"]
    rest = [h for h in state["handoffs"] if h["id"] != new["id"]]
    waits = new["state"] == "queued" and (agent.sees_all or new["queue"] in agent.queues)
    held = new["state"] == "accepted" and (agent.sees_all or new.get("accepted_by") == agent.id)
    state["handoffs"] = ordered([*rest, new] if waits or held else rest)


def _conversation(state: Any, event: Any, agent: Agent) -> None:
    new = event["conversation"]
    rest = [c for c in state["conversations"] if c["id"] != new["id"]]
    # A supervisor hears of everybody's.
    mine = new["control"] == "agent" and new["agent"] == agent.id
    state["conversations"] = [*rest, new] if mine else rest


def _message(state: Any, event: Any, agent: Agent) -> None:
    message = event["message"]
    for conversation in state["conversations"]:
        if conversation["id"] == event["conversation"]:
            conversation["last_seq"] = max(conversation["last_seq"], message["seq"])
            conversation["preview"] = {
                "author": message["author"],
                "text": message["content"]["text"][:140],
                "at": message["sent_at"],
            }
            if message["author"]["kind"] == "customer":
                conversation["unread"] += 1
                conversation["waiting_since"] = conversation["waiting_since"] or message["sent_at"]
            elif message["author"]["kind"] == "agent":
                conversation["unread"] = 0
                conversation["waiting_since"] = None


def _presence(state: Any, event: Any, agent: Agent) -> None:
    new = event["agent"]
    rest = [a for a in state["agents"] if a["id"] != new["id"]]
    state["agents"] = sorted([*rest, new], key=lambda a: (a["name"], a["id"]))
    if new["id"] == state["me"]["id"]:
        state["me"] = new


def ordered(handoffs: list[Any]) -> list[Any]:
    """Handoffs as a desk shows them, with their places."""
    result, counts = [], dict[str, int]()
    for handoff in sorted(handoffs, key=lambda h: (-h["priority"], h["enqueued_at"], h["id"])):
        shown = {k: v for k, v in handoff.items() if k != "position"}
        if handoff["state"] == "queued":
            shown["position"] = counts[handoff["queue"]] = counts.get(handoff["queue"], 0) + 1
        result.append(shown)
    return result
