"""The handoff room: what can happen to a handoff. Every verb runs in a transaction and locks thread, conversation, handoff."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
import structlog

from conversations import control, lifecycle
from conversations.bus import thread_topic
from conversations.control import Control
from conversations.errors import Conflict, FoyerError
from conversations.lifecycle import Lifecycle
from conversations.messages import Author, AuthorKind, Text, clean_text, new_id
from conversations.ports import Enqueued, HandoffRequest
from conversations.store import Transaction, conversations, messages, threads, views
from conversations.store.conversations import Conversation
from conversations.store.messages import Draft
from conversations.store.tables import handoffs
from conversations.store.tables import messages as messages_table
from conversations.store.threads import Thread

from . import agents, events, reasons, records
from .agents import Agent
from .gather import Case, gather
from .reasons import Reason
from .records import Handoff

log = structlog.get_logger(__name__)

PASSED_ON_PRIORITY = 1
"""A customer whom a colleague passed on waits before those who have not yet spoken with anybody."""


class NotYours(FoyerError):
    """It exists, but is not for this agent."""

    code = "not_yours"


class Unprocessable(FoyerError):
    """Well-formed, but can't be done as asked."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _ignore(reason: str) -> None:
    pass


def author_of(agent: Agent) -> Author:
    """The agent as an author of messages."""
    return Author(AuthorKind.AGENT, agent.name, agent.id)


@dataclass(frozen=True, slots=True)
class HandoffRoom:
    """Handoffs in first-in-first-out queues, those with a higher priority first.

    `strict`: a context whose transcript is not the store's is an error, as in tests, and not only marked and logged.
    `observe(reason)` hears of every handoff that is made.
    """

    observe: Callable[[str], None] = _ignore
    queues: tuple[str, ...] = ("general",)
    strict: bool = False

    # ---------------------------------------------------- asked by the core

    def request(self, tx: Transaction, conversation: Conversation, why: HandoffRequest) -> Enqueued:
        """Records a handoff with its context at the end of its queue; gives the words for the customer."""
        conversation = conversations.find(tx, conversation.id)
        reason, why = _checked(why)
        queue = why.queue if why.queue in self.queues else self.queues[0]
        case = Case(new_id(), records.count_of(tx, conversation.id) + 1, reason, queue, 0, why)
        context = gather(tx, conversation, case, self.strict)
        tx.conn.execute(
            sa.insert(handoffs).values(
                id=case.id,
                account=conversation.account,
                conversation_id=conversation.id,
                thread_id=conversation.thread_id,
                customer_id=conversation.customer_id,
                channel=conversation.channel,
                epoch=conversation.epoch,
                attempt=case.attempt,
                state="queued",
                reason=reason.value,
                summary=context.summary.text,
                queue=queue,
                priority=case.priority,
                enqueued_at=tx.now,
                declined=[],
                context=context.model_dump(mode="json"),
            )
        )
        events.tell_queue(tx, records.find(tx, case.id))
        self.observe(reason.value)
        notice = reasons.queued(
            reason,
            views.queue_position(tx, conversation.id),
            agents.anybody_there(tx, queue),
            # Without a rule the assistant asked for it in words of its own.
            alone=why.rule is not None,
        )
        return Enqueued(queue, notice)

    def abandon(self, tx: Transaction, conversation: Conversation, why: str) -> None:
        """The customer left, or stopped waiting: ends the open handoff."""
        before = records.open_of(tx, conversation.id)
        if before is None:
            return
        after = records.update(tx, before.id, state="abandoned", ended_at=tx.now, disposition=why[:64])
        if before.accepted_by is None or before.state == "queued":
            self._left(tx, before, after)
            return
        events.tell_agent(tx, after, before.accepted_by)
        # Only an end takes a conversation from its agent in this way; the core writes it right after.
        standing = control.close(conversation.standing)
        gone = replace(conversation, control=standing.control, epoch=standing.epoch, agent_id=None)
        events.tell_conversation(tx, gone, before.accepted_by)

    # ------------------------------------------------------ asked by agents

    def accept(self, tx: Transaction, handoff_id: str, agent: Agent) -> Handoff:
        """The agent takes the waiting conversation; the same again for who has it already.

        Raises:
            NotFound, NotYours: no such handoff, or one of a queue that this agent does not serve.
            Conflict: `already_accepted` (details: `by`, a name), or `not_open`.
        """
        thread, conversation, handoff = _locked(tx, handoff_id)
        if handoff.state == "accepted" and handoff.accepted_by == agent.id:
            return handoff
        _must_serve(agent, handoff)
        _must_wait(handoff, conversation)
        return self._give(tx, thread, conversation, handoff, agent)

    def decline(self, tx: Transaction, handoff_id: str, agent: Agent, reason: str | None) -> Handoff:
        """Notes that the agent won't take it; it stays in the queue.

        Raises:
            NotFound, NotYours, Conflict: as `accept`.
        """
        _, conversation, handoff = _locked(tx, handoff_id)
        _must_serve(agent, handoff)
        _must_wait(handoff, conversation)
        if any(one["agent"] == agent.id for one in handoff.declined):
            return handoff
        noted = {"agent": agent.id, "name": agent.name, "at": tx.now, "reason": reason}
        handoff = records.update(tx, handoff.id, declined=[*handoff.declined, noted])
        events.tell_queue(tx, handoff)
        return handoff

    def transfer(
        self, tx: Transaction, handoff_id: str, agent: Agent, queue: str | None, note: str | None
    ) -> Handoff:
        """The conversation waits again, in `queue` or where it came from, before those who wait for the first time.

        Raises:
            NotFound, NotYours: no such handoff, or it is another agent's.
            Conflict: `not_open`.
            Unprocessable: `unknown_queue`.
        """
        if queue is not None and queue not in self.queues:
            raise Unprocessable("unknown_queue", "there is no such queue")
        thread, conversation, handoff = _locked(tx, handoff_id)
        _must_hold(agent, handoff)
        handoff = self._requeue(tx, thread, conversation, handoff, queue or handoff.queue)
        if note:
            _note(tx, handoff.conversation_id, agent, note)
        return handoff

    def give_back(self, tx: Transaction, handoff_id: str, agent: Agent, note: str | None) -> Handoff:
        """The assistant goes on. Done before by the same agent, it is not done again.

        Raises:
            NotFound, NotYours: no such handoff, or it is another agent's.
            Conflict: `not_open`.
        """
        thread, conversation, handoff = _locked(tx, handoff_id)
        if handoff.state == "returned" and handoff.accepted_by == agent.id:
            return handoff
        holder = _must_hold(agent, handoff)
        if note:
            _note(tx, conversation.id, agent, note)
        handoff = records.update(tx, handoff.id, state="returned", ended_at=tx.now)
        notice = reasons.returned(conversation.agent_name or agent.name)
        lifecycle.return_to_assistant(tx, thread, conversation, notice)
        self._ended(tx, handoff, holder)
        return handoff

    def resolve(
        self,
        tx: Transaction,
        handoff_id: str,
        agent: Agent,
        disposition: str,
        note: str | None,
        after_seq: int | None,
    ) -> Handoff:
        """Ends the conversation as answered. Done before by the same agent, it is not done again.

        Raises:
            NotFound, NotYours: no such handoff, or it is another agent's.
            Conflict: `not_open`, or `stale` when the customer wrote behind `after_seq` (details: `last_seq`).
        """
        thread, conversation, handoff = _locked(tx, handoff_id)
        if handoff.state == "resolved" and handoff.accepted_by == agent.id:
            return handoff
        holder = _must_hold(agent, handoff)
        if after_seq is not None and authors_after(tx, conversation, after_seq, (AuthorKind.CUSTOMER,)):
            raise Conflict("stale", "the customer has written again", last_seq=conversation.last_seq)
        if note:
            _note(tx, conversation.id, agent, note)
        handoff = records.update(tx, handoff.id, state="resolved", ended_at=tx.now, disposition=disposition)
        notice = Text(reasons.resolved(conversation.agent_name or agent.name))
        lifecycle.say(tx, thread, conversation, notice)
        lifecycle.close(tx, conversations.find(tx, conversation.id), "resolved")
        self._ended(tx, handoff, holder)
        return handoff

    def take_over(self, tx: Transaction, life: Lifecycle, conversation_id: str, agent: Agent) -> Handoff:
        """A supervisor takes the conversation from whoever has it: the assistant, the queue or an agent.

        Raises:
            NotFound: no such conversation.
            Conflict: `not_open`.
        """
        thread = threads.lock(tx, conversations.find(tx, conversation_id).thread_id)
        conversation = conversations.lock(tx, conversation_id)
        if conversation.control is Control.CLOSED:
            raise Conflict("not_open", "the conversation is closed")
        if conversation.control is Control.ASSISTANT:
            life.escalate(tx, thread, conversation, HandoffRequest(Reason.AGENT_TAKEOVER, rule="takeover"))
        handoff = records.open_of(tx, conversation_id)
        if handoff is None:
            raise Conflict("not_open", "the conversation waits for nobody")
        if handoff.state == "accepted":
            if handoff.accepted_by == agent.id:
                return handoff
            handoff = self._requeue(tx, thread, conversation, handoff, handoff.queue, reasons.TAKEOVER)
        return self._give(tx, thread, conversations.find(tx, conversation_id), handoff, agent)

    # ---------------------------------------------------------------- steps

    def _give(
        self, tx: Transaction, thread: Thread, conversation: Conversation, handoff: Handoff, agent: Agent
    ) -> Handoff:
        taken = lifecycle.take(tx, thread, conversation, agent.id, agent.name)
        after = records.update(
            tx,
            handoff.id,
            state="accepted",
            epoch=taken.epoch,
            accepted_by=agent.id,
            accepted_by_name=agent.name,
            accepted_at=tx.now,
        )
        self._left(tx, handoff, after)
        events.tell_conversation(tx, conversations.find(tx, conversation.id), agent.id)
        return after

    def _requeue(
        self,
        tx: Transaction,
        thread: Thread,
        conversation: Conversation,
        handoff: Handoff,
        queue: str,
        notice: str | None = None,
    ) -> Handoff:
        holder, name = handoff.accepted_by or "", conversation.agent_name or "Your colleague"
        records.update(
            tx,
            handoff.id,
            state="queued",
            queue=queue,
            priority=max(handoff.priority, PASSED_ON_PRIORITY),
            enqueued_at=tx.now,
            accepted_by=None,
            accepted_by_name=None,
            accepted_at=None,
        )
        place = views.queue_position(tx, conversation.id)
        words = notice or reasons.back_in_queue(name, place, agents.anybody_there(tx, queue))
        conversation = conversations.update(tx, conversation, queue=queue)
        conversation = lifecycle.requeue(tx, thread, conversation, words)
        after = records.update(tx, handoff.id, epoch=conversation.epoch)
        events.tell_queue(tx, after)
        events.tell_agent(tx, after, holder)
        events.tell_conversation(tx, conversations.find(tx, conversation.id), holder)
        _wake(tx, after)
        return after

    def _left(self, tx: Transaction, before: Handoff, after: Handoff) -> None:
        """A handoff is no longer waiting: the desk hears of it, and those behind it of their new places."""
        events.tell_queue(tx, after)
        _wake(tx, before)

    def _ended(self, tx: Transaction, handoff: Handoff, holder: str) -> None:
        events.tell_agent(tx, handoff, holder)
        events.tell_conversation(tx, conversations.find(tx, handoff.conversation_id), holder)


def _checked(why: HandoffRequest) -> tuple[Reason, HandoffRequest]:
    """The reason, and what the assistant added in clean words. A person is never refused because of a wrong code."""
    note = clean_text(why.note)[:1000] if why.note else None
    try:
        return Reason(why.reason), replace(why, note=note)
    except ValueError:
        log.warning("handoff.unknown_reason", turn=why.turn)
        rule = f"unknown reason: {clean_text(str(why.reason))[:40]}"
        return Reason.NOT_UNDERSTOOD, replace(why, note=note, rule=why.rule or rule)


def _locked(tx: Transaction, handoff_id: str) -> tuple[Thread, Conversation, Handoff]:
    found = records.find(tx, handoff_id)
    thread = threads.lock(tx, found.thread_id)
    conversation = conversations.lock(tx, found.conversation_id)
    return thread, conversation, records.lock(tx, handoff_id)


def _must_serve(agent: Agent, handoff: Handoff) -> None:
    if not agent.sees_all and handoff.queue not in agent.queues:
        raise NotYours("this handoff is in a queue that is not yours")


def _must_wait(handoff: Handoff, conversation: Conversation) -> None:
    if handoff.state == "accepted":
        raise Conflict("already_accepted", "a colleague was quicker", by=handoff.accepted_by_name)
    if handoff.state != "queued" or handoff.epoch != conversation.epoch:
        raise Conflict("not_open", "nobody waits here any more", state=handoff.state)


def _must_hold(agent: Agent, handoff: Handoff) -> str:
    """The id of the agent who holds it: this one, or another one whom this one supervises."""
    if handoff.accepted_by != agent.id and not agent.supervises:
        raise NotYours("this conversation is not yours")
    if handoff.state != "accepted" or handoff.accepted_by is None:
        raise Conflict("not_open", "no agent has this conversation", state=handoff.state)
    return handoff.accepted_by


def _note(tx: Transaction, conversation: str, agent: Agent, text: str) -> None:
    messages.add_note(tx, conversations.find(tx, conversation), Draft(author_of(agent), Text(text)))


def authors_after(
    tx: Transaction, conversation: Conversation, seq: int, kinds: Sequence[AuthorKind]
) -> Sequence[str | None]:
    """The ids of the authors, of these kinds, of what was written in the conversation behind `seq`."""
    table = messages_table
    query = sa.select(table.c.author_id).where(
        table.c.thread_id == conversation.thread_id,
        table.c.seq > max(seq, conversation.first_seq - 1),
        table.c.seq <= conversation.last_seq,
        table.c.author_kind.in_([kind.value for kind in kinds]),
    )
    return list(tx.conn.execute(query).scalars())


def _wake(tx: Transaction, moved: Handoff) -> None:
    for thread in records.waiting_behind(tx, moved):
        tx.wake(thread_topic(thread))
