"""A real front door on a loopback port, with an assistant that answers from a script: quick enough for a test a page."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from aiohttp import web
from pydantic import SecretStr

from conversations.bus import LocalBus, thread_topic
from conversations.intake import Intake
from conversations.lifecycle import Lifecycle
from conversations.messages import Accepted, Author, AuthorKind, Choice, Inbound, Sender, Text
from conversations.ports import HandoffRequest, TurnRequest, TurnResult
from conversations.store import Store, Transaction, conversations, messages, open_store, threads
from conversations.store.conversations import Conversation
from conversations.store.messages import Draft
from conversations.store.tables import handoffs
from frontdoor.app import Parts, build
from frontdoor.metrics import Metrics
from frontdoor.settings import Settings
from handoff import agents
from handoff.agents import Agent
from handoff.room import HandoffRoom
from tests.story.installation import free_port

PASSWORD = "correct horse battery staple"
SENTENCE = "Thank you, that helps. One more thing: can the second parcel go to another address instead?"
WORDS = SENTENCE.split()

Answer = Callable[[TurnRequest], TurnResult]

ORDER = {
    "number": "FY-104233",
    "status": "shipped",
    "carrier": "Northline",
    "tracking": "NL-55-0193-7",
    "items": [{"name": "Reading lamp, brass", "quantity": 1}, {"name": "Wool throw", "quantity": 2}],
    "expected": "2026-02-03",
}


def answer(request: TurnRequest) -> TurnResult:
    """A small assistant: asks for the order and its owner, looks it up, and calls a person when asked to."""
    said = request.text.lower()
    if "human" in said or "person" in said:
        return _result("request_human", 0.97, handoff=HandoffRequest("customer_asked"))
    if "fy-" in said:
        return _found(request)
    if "order" in said:
        reply = Text(
            "I can look that up. What is the order number, and the postcode it goes to?",
            (Choice("I don't have it", "/no_number"), Choice("Talk to a person", "/request_human")),
        )
        return _result("order_status", 0.93, reply)
    if "lawyer" in said:
        return _result(
            "complaint", 0.71, handoff=HandoffRequest("sensitive_topic", note="A lawyer was mentioned.")
        )
    return _result(
        "nlu_fallback", 0.34, Text("I'm sorry, I did not get that. Could you say it in other words?")
    )


def _result(
    intent: str, confidence: float, *replies: Text, handoff: HandoffRequest | None = None
) -> TurnResult:
    intents = [
        {"name": intent, "confidence": confidence},
        {"name": "bill", "confidence": (1 - confidence) / 2},
    ]
    return TurnResult(
        replies=replies,
        state={},
        model="scripted",
        understanding={"intents": intents, "entities": []},
        handoff=handoff,
    )


def _found(request: TurnRequest) -> TurnResult:
    return TurnResult(
        replies=(
            Text("Thank you. Your parcel has left our warehouse and should arrive on Tuesday, 3 February."),
        ),
        state={},
        model="scripted",
        understanding={
            "intents": [{"name": "inform", "confidence": 0.99}],
            "entities": [
                {"entity": "order_number", "value": "FY-104233", "start": 0, "end": 9},
                {"entity": "postcode", "value": "LS1 4DY", "start": 14, "end": 21},
            ],
        },
        slots={"order_number": "FY-104233", "proof": "LS1 4DY", "wanted": "order_status"},
        actions=({"name": "action_order_status", "ok": True, "seconds": 0.02},),
        lookups=(
            {
                "action": "action_order_status",
                "asked": {"order_number": "FY-104233"},
                "at": request.context.get("now"),
                "ok": True,
                "result": ORDER,
                "seconds": 0.02,
            },
        ),
        effects=(
            {
                "kind": "set_verification",
                "level": "order",
                "customer": "C-20481",
                "name": "Mara Lindqvist",
                "method": "order_number+postcode",
            },
        ),
    )


@dataclass
class ScriptedAssistant:
    answer: Answer = answer

    async def turn(self, request: TurnRequest) -> TurnResult:
        return self.answer(request)


@dataclass
class House:
    """One installation; it can be stopped and started again at the same address, over the same database."""

    url_of_store: str
    home: Path
    port: int = field(default_factory=free_port)
    assistant: ScriptedAssistant = field(default_factory=ScriptedAssistant)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    more: dict[str, Any] = field(default_factory=dict)
    _runner: web.AppRunner | None = None
    _store: Store | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> Store:
        assert self._store is not None
        return self._store

    async def start(self) -> None:
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            home=self.home,
            port=self.port,
            database_url=self.url_of_store,
            secret=SecretStr("s" * 40),
            chat_app_key=SecretStr("app-key-for-tests"),
            assistant_token=SecretStr("t" * 40),
            **self.more,
        )
        self._store = await open_store(self.url_of_store, LocalBus())
        app = build(Parts(settings, self._store, self.assistant, Metrics()))
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            await self.store.close()
        self._runner = self._store = None

    async def hire(self, name: str, *roles: str) -> Agent:
        """An agent who logs in as `<first name>@foyer.example` with PASSWORD."""
        email = f"{name.split()[0].lower()}@foyer.example"
        return await agents.add_agent(self.store, email, name, roles or ("agent",), password=PASSWORD)

    def customer(self, address: str | None = None) -> Customer:
        return Customer(self, Sender("main", "webchat", address or f"c{next(self.numbers)}", outbox=False))

    async def full(self, agent: Agent, open_conversations: int, each: int) -> None:
        """Gives the agent so many conversations with so many messages each, written straight into the store."""
        for number in range(open_conversations):
            await self.full_one(agent, f"full-{number}", each, f"Customer {number:03}")

    async def full_one(self, agent: Agent, address: str, count: int, name: str = "A long story") -> None:
        """Gives the agent one conversation with so many messages."""
        room, intake = HandoffRoom(), Intake(10**9)
        lifecycle = Lifecycle(room)
        sender = Sender("main", "webchat", address, name=name, outbox=False)

        def job(tx: Transaction) -> None:
            accepted = intake.accept(tx, Inbound(sender, f"{address}-1", "I need a person, please."))
            thread = threads.lock(tx, accepted.thread)
            conversation = conversations.lock(tx, accepted.conversation)
            lifecycle.escalate(tx, thread, conversation, HandoffRequest("customer_asked"))
            mine = handoffs.c.conversation_id == conversation.id
            room.accept(tx, tx.conn.execute(sa.select(handoffs.c.id).where(mine)).scalar_one(), agent)
            conversation = conversations.lock(tx, accepted.conversation)
            for at in range(count - 3):
                author = Author(AuthorKind.CUSTOMER)
                if at % 3 == 1:
                    author = Author(AuthorKind.AGENT, agent.name, agent.id)
                words = WORDS[: 3 + at * 7 % len(WORDS)]
                messages.append(tx, thread, conversation, Draft(author, Text(f"{' '.join(words)} ({at})")))

        await self.store.write(job)

    async def conversation_of(self, address: str) -> str:
        return (await self.customer(address).conversation()).id


@dataclass
class Customer:
    """Somebody who writes."""

    house: House
    sender: Sender

    async def writes(self, text: str) -> Accepted:
        """Writes, without waiting for what the assistant makes of it."""
        inbound = Inbound(self.sender, f"e{next(self.house.numbers)}", text)
        return await self.house.store.write(lambda tx: Intake(10**9).accept(tx, inbound))

    async def says(self, *texts: str) -> Accepted:
        """Writes, and waits until the assistant has dealt with each message, or nobody is to."""
        for text in texts:
            accepted = await self.writes(text)
            await self._answered(accepted)
        return accepted

    async def _answered(self, accepted: Accepted) -> None:
        async with asyncio.timeout(20):
            while True:
                conversation = await self.conversation()
                if conversation.control != "assistant" or conversation.last_seq > accepted.seq:
                    return
                await asyncio.sleep(0.01)

    async def conversation(self) -> Conversation:
        def job(tx: Transaction) -> Conversation:
            found = conversations.latest_in(tx, threads.lock_or_create(tx, self.sender).id)
            assert found is not None
            return found

        return await self.house.store.write(job)

    async def leaves(self) -> None:
        lifecycle = Lifecycle(HandoffRoom())
        await self.house.store.write(
            lambda tx: lifecycle.end_by_customer(tx, threads.lock_or_create(tx, self.sender).id)
        )

    async def hears(self) -> list[str]:
        """The whole thread, as `kind: text` lines."""

        def job(tx: Transaction) -> list[str]:
            thread = threads.lock_or_create(tx, self.sender).id
            return [f"{m.author.kind}: {m.content.text}" for m in messages.after(tx, thread, 0, 10_000)]

        return await self.house.store.write(job)

    async def types(self) -> None:
        thread = (await self.conversation()).thread_id
        self.house.store.bus.publish(thread_topic(thread), {"type": "typing", "author": {"kind": "customer"}})
