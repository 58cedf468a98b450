"""The turn worker: takes due conversations, one message at a time each, asks the assistant, and commits what it decided.

No transaction is open and no connection is held while the assistant thinks. Everything a turn decides is committed
together, under the lease and the epoch it began with, or not at all.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from . import bus as topics
from .control import Control
from .errors import (
    AssistantError,
    AssistantRefused,
    AssistantUnusable,
    LookupUnavailable,
    StoreUnavailable,
)
from .lifecycle import Lifecycle
from .messages import ASSISTANT, rfc3339
from .ports import Assistant, HandoffRequest, TurnRequest, TurnResult
from .store import Store, Transaction, conversations, messages, threads, turns
from .store.conversations import Conversation
from .store.messages import Draft
from .store.turns import Claim
from .verification import from_stored
from .verification import record as record_verification

log = structlog.get_logger(__name__)

BACKOFF_MS = (250, 500, 1000, 2000, 4000)
IDLE_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """`deadline_s` for one request < `lease_s` of the claim; `patience_s` in all before people are called in."""

    deadline_s: float = 8.0
    lease_s: float = 15.0
    patience_s: float = 25.0
    workers: int = 8
    silent_attempts: int = 2

    def __post_init__(self) -> None:
        if not self.deadline_s < self.lease_s:
            raise ValueError(
                f"the assistant's time-out ({self.deadline_s} s) must be below the turn's lease ({self.lease_s} s)"
            )


def _ignore(outcome: str, seconds: float) -> None:
    pass


@dataclass(slots=True)
class TurnWorker:
    """Runs turns until it is stopped. `observe(outcome, seconds)` hears of every turn that ended."""

    store: Store
    assistant: Assistant
    lifecycle: Lifecycle
    limits: TurnLimits = field(default_factory=TurnLimits)
    observe: Callable[[str, float], None] = _ignore
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Works until cancelled; turns under way are cancelled with it, and their leases run out."""
        subscription = self.store.bus.subscribe(topics.TURNS)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    wait = await self._fill(group)
                    await subscription.wait(wait)
        finally:
            subscription.close()

    async def run_due(self) -> int:
        """Runs every turn that is due now, one after another; returns how many. For tests and tools."""
        done = 0
        while claims := await self._claim(1):
            for claim in claims:
                await self._turn(claim)
                done += 1
        return done

    async def _fill(self, group: asyncio.TaskGroup) -> float:
        """Starts what is due and has a free place; returns how long to sleep, in seconds."""
        free = self.limits.workers - len(self._running)
        if free <= 0:
            return IDLE_POLL_S
        try:
            claims = await self._claim(free)
            for claim in claims:
                task = group.create_task(self._guarded(claim))
                self._running.add(task)
                task.add_done_callback(self._ended)
            return await self._until_due() if len(claims) < free else 0.0
        except StoreUnavailable:
            log.warning("turns.store_unavailable")
            return IDLE_POLL_S

    async def _claim(self, limit: int) -> list[Claim]:
        lease_ms = int(self.limits.lease_s * 1000)
        if not await self.store.read(_some_due):
            return []
        return list(await self.store.write(lambda tx: turns.claim(tx, limit, lease_ms)))

    async def _until_due(self) -> float:
        def wait(tx: Transaction) -> float:
            due = turns.next_due(tx)
            return IDLE_POLL_S if due is None else (due - tx.now) / 1000

        return min(max(await self.store.read(wait), 0.01), IDLE_POLL_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A place is free: whatever waits for one may start."""
        self._running.discard(task)
        self.store.bus.publish(topics.TURNS)

    async def _guarded(self, claim: Claim) -> None:
        try:
            await self._turn(claim)
        except StoreUnavailable:
            log.warning("turn.store_unavailable", turn=claim.turn)
        except Exception as error:
            _log_broken(claim, error)

    async def _turn(self, claim: Claim) -> None:
        began = time.monotonic()
        self.store.bus.publish(
            topics.thread_topic(claim.conversation.thread_id),
            {"type": "typing", "author": ASSISTANT.as_json()},
        )
        try:
            async with asyncio.timeout(self.limits.deadline_s):
                result = await self.assistant.turn(_request(claim))
            outcome = await self.store.write(lambda tx: self.commit(tx, claim, result))
        except (AssistantError, TimeoutError) as error:
            outcome = await self._failed(claim, error)
        except StoreUnavailable:
            raise
        except Exception as error:  # whatever it is, the customer must not wait for ever
            _log_broken(claim, error)
            outcome = await self._failed(claim, AssistantUnusable(type(error).__name__))
        seconds = time.monotonic() - began
        self.observe(outcome, seconds)
        log.info("turn", turn=claim.turn, outcome=outcome, attempt=claim.attempt, seconds=round(seconds, 4))

    async def _failed(self, claim: Claim, error: Exception) -> str:
        return await self.store.write(lambda tx: self.fail(tx, claim, error))

    # ------------------------------------------------------------ transactions

    def commit(self, tx: Transaction, claim: Claim, result: TurnResult) -> str:
        """Writes all that the turn decided. Returns `committed`, `outdated`, `lost` or, when there is nothing to say,
        what `fail` returns."""
        thread = threads.lock(tx, claim.conversation.thread_id)
        conversation = conversations.lock(tx, claim.conversation.id)
        stale = _stale(tx, conversation, claim, result)
        if stale:
            return stale
        if result.silent:
            error = AssistantError("an answer without reply or handoff")
            return self._retry_or_escalate(tx, thread, conversation, claim, error, result)
        messages.note_understood(tx, claim.input_message, result.understanding)
        turns.finish(tx, claim.turn, "committed", _findings(result))
        conversation = self._advance(tx, conversation, claim, result)
        for content in result.replies:
            messages.append(tx, thread, conversation, Draft(ASSISTANT, content, turn=claim.turn))
        wanted = result.wanted_handoff
        if wanted is not None:
            fresh = conversations.find(tx, conversation.id)
            self.lifecycle.escalate(tx, thread, fresh, _completed(wanted, claim))
        return "committed"

    def fail(self, tx: Transaction, claim: Claim, error: Exception) -> str:
        """Notes a failed attempt: `retried` later, or `escalated` to people when patience has run out."""
        thread = threads.lock(tx, claim.conversation.thread_id)
        conversation = conversations.lock(tx, claim.conversation.id)
        result = TurnResult()
        if isinstance(error, LookupUnavailable):
            result = TurnResult(lookups=error.lookups, effects=error.effects)
        return _stale(tx, conversation, claim, result) or self._retry_or_escalate(
            tx, thread, conversation, claim, error, result
        )

    def _retry_or_escalate(
        self,
        tx: Transaction,
        thread: threads.Thread,
        conversation: Conversation,
        claim: Claim,
        error: Exception,
        result: TurnResult,
    ) -> str:
        waited_ms = tx.now - claim.asked_at
        silent = isinstance(error, AssistantError) and result.silent and bool(result.model)
        hopeless = isinstance(error, AssistantRefused) or (
            silent and claim.attempt >= self.limits.silent_attempts
        )
        delay = BACKOFF_MS[min(claim.attempt, len(BACKOFF_MS)) - 1]
        if not hopeless and waited_ms + delay < self.limits.patience_s * 1000:
            conversations.update(tx, conversation, lease=None, due_at=tx.now + delay)
            turns.finish(tx, claim.turn, "asked", _findings(result), _name(error))
            return "retried"
        turns.finish(tx, claim.turn, "failed", _findings(result), _name(error))
        conversation = self._advance(tx, conversation, claim, result, keep_state=False)
        reason = "lookup_failed" if isinstance(error, LookupUnavailable) else "assistant_unavailable"
        why = HandoffRequest(reason, rule=_name(error), turn=claim.turn, message=claim.input_message)
        self.lifecycle.escalate(tx, thread, conversation, why)
        return "escalated"

    def _advance(
        self,
        tx: Transaction,
        conversation: Conversation,
        claim: Claim,
        result: TurnResult,
        keep_state: bool = True,
    ) -> Conversation:
        """Consumes the input, keeps the new state, and makes the next message due."""
        values: dict[str, Any] = {"consumed_seq": claim.input_seq, "lease": None, "due_at": None}
        if keep_state:
            values |= {"state": result.state, "state_version": conversation.state_version + 1}
        verification = record_verification(tx, conversation, result.effects)
        if verification is not None:
            values["verification"] = verification
        conversation = conversations.update(tx, conversation, **values)
        if turns.unanswered(tx, conversation) is not None:
            conversation = conversations.update(tx, conversation, due_at=tx.now)
            tx.wake(topics.TURNS)
        return conversation


def _some_due(tx: Transaction) -> bool:
    due = turns.next_due(tx)
    return due is not None and due <= tx.now


def _stale(tx: Transaction, conversation: Conversation, claim: Claim, result: TurnResult) -> str | None:
    """Why the turn may not act any more: control changed (`outdated`), or another worker has it (`lost`)."""
    if conversation.epoch != claim.conversation.epoch or conversation.control is not Control.ASSISTANT:
        turns.outdate(tx, claim.turn, _findings(result))
        return "outdated"
    if conversation.lease != claim.lease:
        return "lost"
    return None


def _request(claim: Claim) -> TurnRequest:
    conversation = claim.conversation
    context = {
        "channel": conversation.channel,
        "locale": claim.locale,
        "now": rfc3339(claim.asked_at),
        "source": f"{conversation.account}:{conversation.channel}:{claim.address}",
        "customer": {"id": conversation.customer_id, "name": claim.customer_name},
        "verification": from_stored(conversation.verification, claim.asked_at),
    }
    return TurnRequest(
        turn=claim.turn,
        conversation=conversation.id,
        text=claim.text,
        choice=claim.choice,
        context=context,
        state=conversation.state,
    )


def _completed(why: HandoffRequest, claim: Claim) -> HandoffRequest:
    return HandoffRequest(why.reason, why.queue, why.note, why.rule, claim.turn, claim.input_message)


def _findings(result: TurnResult) -> Mapping[str, Any]:
    """What is kept of a turn for the handoff's context and for reports."""
    wanted = result.wanted_handoff
    return {
        "model": result.model,
        "understanding": dict(result.understanding),
        "slots": dict(result.slots),
        "form": dict(result.form) if result.form else None,
        "actions": [dict(a) for a in result.actions],
        "lookups": [dict(x) for x in result.lookups],
        "effects": [dict(e) for e in result.effects],
        "handoff": wanted.reason if wanted else None,
    }


def _log_broken(claim: Claim, error: Exception) -> None:
    """Says what broke and where, without the error's text, which may hold what a customer wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename}:{frame.lineno}" for frame in frames[-5:]]
    log.error("turn.broken", turn=claim.turn, error=type(error).__name__, where=where)


def _name(error: Exception) -> str:
    """A word for logs and the desk; an error's text may hold what a customer wrote."""
    return "timed_out" if isinstance(error, TimeoutError) else getattr(error, "code", type(error).__name__)
