"""A small world around the core: an assistant that a test scripts, a waiting room, a connector that records."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from conversations import lifecycle
from conversations.intake import Intake
from conversations.lifecycle import Lifecycle
from conversations.messages import (
    Accepted,
    Author,
    AuthorKind,
    Inbound,
    Message,
    Outbound,
    Receipt,
    Sender,
    Text,
    new_id,
)
from conversations.ports import Enqueued, HandoffRequest, TurnRequest, TurnResult
from conversations.store import Store, Transaction, conversations, messages, threads
from conversations.store.conversations import Conversation
from conversations.store.messages import Draft
from conversations.store.tables import handoffs
from conversations.turns import TurnLimits, TurnWorker

Answer = Callable[[TurnRequest], TurnResult]


def echo(request: TurnRequest) -> TurnResult:
    """Repeats the customer, hands over on "human", and counts turns in its state."""
    turns = (request.state or {}).get("turns", 0) + 1
    handoff = HandoffRequest("customer_asked") if "human" in request.text else None
    return TurnResult(
        replies=(Text(f"echo {request.text}"),), state={"turns": turns}, model="m", handoff=handoff
    )


@dataclass
class ScriptedAssistant:
    """Answers with `answer`, and remembers what it was asked."""

    answer: Answer = echo
    asked: list[TurnRequest] = field(default_factory=list)

    async def turn(self, request: TurnRequest) -> TurnResult:
        self.asked.append(request)
        return self.answer(request)


class WaitingRoom:
    """The smallest room that brings people in: one queue, kept in the real table."""

    def request(self, tx: Transaction, conversation: Conversation, why: HandoffRequest) -> Enqueued:
        tx.conn.execute(
            sa.insert(handoffs).values(
                id=new_id(),
                account=conversation.account,
                conversation_id=conversation.id,
                thread_id=conversation.thread_id,
                customer_id=conversation.customer_id,
                channel=conversation.channel,
                epoch=conversation.epoch,
                attempt=1,
                state="queued",
                reason=why.reason,
                summary="",
                queue="general",
                priority=0,
                enqueued_at=tx.now,
                declined=[],
                context={},
            )
        )
        return Enqueued("general", f"queued: {why.reason}")

    def abandon(self, tx: Transaction, conversation: Conversation, why: str) -> None:
        end_handoff(tx, conversation, "abandoned")


def end_handoff(tx: Transaction, conversation: Conversation, state: str) -> None:
    tx.conn.execute(
        sa.update(handoffs)
        .where(handoffs.c.conversation_id == conversation.id, handoffs.c.state.in_(("queued", "accepted")))
        .values(state=state, ended_at=tx.now)
    )


@dataclass
class RecordingConnector:
    """Sends into a list, or does what `behave` says."""

    channel: str = "sms"
    sent: list[Outbound] = field(default_factory=list)
    behave: Callable[[Outbound], Receipt] | None = None

    async def send(self, message: Outbound) -> Receipt:
        receipt = self.behave(message) if self.behave else Receipt(f"p{len(self.sent)}")
        self.sent.append(message)
        return receipt


@dataclass
class World:
    """The core over one store, with verbs in the field's words."""

    store: Store
    assistant: ScriptedAssistant = field(default_factory=ScriptedAssistant)
    limits: TurnLimits = field(default_factory=TurnLimits)
    ids: itertools.count[int] = field(default_factory=itertools.count)
    address: str = "a1"
    channel: str = "webchat"

    def __post_init__(self) -> None:
        self.sender = Sender("main", self.channel, self.address, outbox=self.channel != "webchat")
        self.intake = Intake()
        self.lifecycle = Lifecycle(WaitingRoom())
        self.worker = TurnWorker(self.store, self.assistant, self.lifecycle, self.limits)

    async def says(self, text: str, event: str | None = None) -> Accepted:
        inbound = Inbound(self.sender, event or f"{self.address}:{next(self.ids)}", text)
        return await self.store.write(lambda tx: self.intake.accept(tx, inbound))

    async def transcript(self) -> Sequence[Message]:
        return await self.store.read(lambda tx: messages.after(tx, self._thread(tx), 0, 10_000))

    async def heard(self) -> list[str]:
        """What the customer sees: `kind: text` lines."""
        return [f"{m.author.kind}: {m.content.text}" for m in await self.transcript()]

    async def conversation(self) -> Conversation:
        def latest(tx: Transaction) -> Conversation:
            found = conversations.latest_in(tx, self._thread(tx))
            assert found is not None
            return found

        return await self.store.read(latest)

    async def accept(self, agent: str = "ada") -> None:
        def job(tx: Transaction) -> None:
            thread, conversation = self.locked(tx)
            lifecycle.take(tx, thread, conversation, agent, agent.title())

        await self.store.write(job)

    async def agent_says(self, text: str) -> None:
        def job(tx: Transaction) -> None:
            thread, conversation = self.locked(tx)
            author = Author(AuthorKind.AGENT, conversation.agent_name, conversation.agent_id)
            messages.append(tx, thread, conversation, Draft(author, Text(text)))

        await self.store.write(job)

    async def returns(self) -> None:
        def job(tx: Transaction) -> None:
            thread, conversation = self.locked(tx)
            end_handoff(tx, conversation, "returned")
            lifecycle.return_to_assistant(tx, thread, conversation, "The assistant is back.")

        await self.store.write(job)

    async def resolves(self) -> None:
        def job(tx: Transaction) -> None:
            _, conversation = self.locked(tx)
            end_handoff(tx, conversation, "resolved")
            lifecycle.close(tx, conversation, "solved")

        await self.store.write(job)

    def _thread(self, tx: Transaction) -> str:
        return threads.lock_or_create(tx, self.sender).id

    def locked(self, tx: Transaction) -> tuple[threads.Thread, Conversation]:
        thread = threads.lock_or_create(tx, self.sender)
        conversation = conversations.open_in(tx, thread.id)
        assert conversation is not None
        return thread, conversation
