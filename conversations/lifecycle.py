"""What can happen to a conversation as a whole. Every verb runs inside a transaction and locks thread, then conversation."""

from __future__ import annotations

from dataclasses import dataclass

from . import bus, control
from .control import Control
from .errors import Conflict, NotFound
from .messages import SYSTEM, AuthorKind, Content, Text
from .ports import HandoffRequest, Handoffs
from .store import conversations, messages, outbox, threads, turns
from .store.conversations import Conversation
from .store.engine import Transaction
from .store.messages import Draft
from .store.threads import Thread


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The verbs of a conversation's life; `handoffs` is the room that brings people in."""

    handoffs: Handoffs

    def escalate(
        self, tx: Transaction, thread: Thread, conversation: Conversation, why: HandoffRequest
    ) -> Conversation:
        """Gives the conversation to a queue and tells the customer."""
        conversation = conversations.change(tx, conversation, control.escalate(conversation.standing))
        enqueued = self.handoffs.request(tx, conversation, why)
        conversation = conversations.update(tx, conversation, queue=enqueued.queue)
        say(tx, thread, conversation, Text(enqueued.notice))
        return conversation

    def end_by_customer(self, tx: Transaction, thread_id: str) -> bool:
        """The customer ends the open conversation; False when none is open."""
        found = _open(tx, thread_id)
        if found is None:
            return False
        _, conversation = found
        if conversation.attended:
            self.handoffs.abandon(tx, conversation, "the customer ended the conversation")
        close(tx, conversation, "customer_left")
        return True

    def cancel_queue(self, tx: Transaction, thread_id: str) -> bool:
        """The customer no longer waits for a person: the assistant goes on. False when they were not waiting."""
        found = _open(tx, thread_id)
        if found is None or found[1].control is not Control.QUEUE:
            return False
        thread, conversation = found
        self.handoffs.abandon(tx, conversation, "the customer stopped waiting")
        conversation = conversations.change(tx, conversation, control.give_back(conversation.standing))
        say(
            tx,
            thread,
            conversation,
            Text("You are no longer in the queue. The assistant is back: how can I help?"),
        )
        return True

    def end_by_silence(self, tx: Transaction, conversation_id: str, silence_ms: int) -> None:
        """Closes a conversation that nobody wrote in for `silence_ms`; looks again later at one that is alive.

        People's conversations stay open: only they, or the customer, end those.
        """
        try:
            conversation = conversations.find(tx, conversation_id)
            threads.lock(tx, conversation.thread_id)
            conversation = conversations.lock(tx, conversation_id)
        except NotFound:
            return
        if conversation.control is Control.CLOSED:
            return
        quiet_since = conversation.active_at
        if conversation.attended or conversation.due_at is not None:
            quiet_since = tx.now
        if quiet_since + silence_ms > tx.now:
            conversations.set_timer(tx, conversations.SILENCE, conversation.id, quiet_since + silence_ms)
            return
        close(tx, conversation, "silence")


def _open(tx: Transaction, thread_id: str) -> tuple[Thread, Conversation] | None:
    thread = threads.lock(tx, thread_id)
    conversation = conversations.open_in(tx, thread_id)
    return None if conversation is None else (thread, conversation)


def return_to_assistant(
    tx: Transaction, thread: Thread, conversation: Conversation, notice: str
) -> Conversation:
    """An agent gives the conversation back. What the customer wrote behind the agent's last word is answered next."""
    standing = control.give_back(conversation.standing)
    answered = messages.last_seq_of(tx, conversation, AuthorKind.AGENT)
    consumed = max(conversation.consumed_seq, answered)
    conversation = conversations.change(tx, conversation, standing, consumed_seq=consumed)
    if turns.unanswered(tx, conversation) is not None:
        conversation = conversations.update(tx, conversation, due_at=tx.now)
        tx.wake(bus.TURNS)
    say(tx, thread, conversation, Text(notice))
    return conversation


def close(tx: Transaction, conversation: Conversation, outcome: str) -> Conversation:
    """Ends the episode."""
    standing = control.close(conversation.standing)
    return conversations.change(tx, conversation, standing, outcome=outcome)


def take(tx: Transaction, thread: Thread, conversation: Conversation, agent: str, name: str) -> Conversation:
    """An agent takes a waiting conversation; what the assistant had not yet sent is withdrawn.

    Raises:
        Conflict: the conversation does not wait for anybody.
    """
    try:
        standing = control.accept(conversation.standing, agent)
    except control.NotAllowed as error:
        raise Conflict("not_open", str(error)) from error
    conversation = conversations.change(tx, conversation, standing, agent_name=name)
    outbox.withdraw(tx, thread.id, AuthorKind.ASSISTANT)
    say(tx, thread, conversation, Text(f"{name} has joined the conversation."))
    return conversation


def requeue(tx: Transaction, thread: Thread, conversation: Conversation, notice: str) -> Conversation:
    """The agent's conversation waits for another one."""
    conversation = conversations.change(tx, conversation, control.requeue(conversation.standing))
    say(tx, thread, conversation, Text(notice))
    return conversation


def say(tx: Transaction, thread: Thread, conversation: Conversation, content: Content) -> None:
    """A word of the house to the customer."""
    messages.append(tx, thread, conversation, Draft(SYSTEM, content))
