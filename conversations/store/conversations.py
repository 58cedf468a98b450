"""Conversations: finding, opening, and changing who controls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from ..bus import thread_topic
from ..control import Control, Standing
from ..errors import Conflict, NotFound
from ..messages import new_id
from .engine import Transaction
from .tables import OPEN_CONVERSATION, conversations, timers
from .threads import Thread

SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class Conversation:
    """One episode of a thread. `consumed_seq`: up to here the assistant, or a person, has taken the customer's words."""

    id: str
    account: str
    thread_id: str
    channel: str
    customer_id: str
    control: Control
    epoch: int
    agent_id: str | None
    agent_name: str | None
    queue: str | None
    opened_at: int
    active_at: int
    closed_at: int | None
    outcome: str | None
    first_seq: int
    last_seq: int
    consumed_seq: int
    state: Mapping[str, Any] | None
    state_version: int
    verification: Mapping[str, Any] | None
    due_at: int | None
    lease: str | None

    @property
    def standing(self) -> Standing:
        return Standing(self.control, self.epoch, self.agent_id)

    @property
    def attended(self) -> bool:
        """People are concerned with it, so the desk hears of every message."""
        return self.control in (Control.QUEUE, Control.AGENT)


def from_row(row: sa.Row[Any]) -> Conversation:
    """A conversation from a row of its table."""
    values = dict(row._mapping)
    return Conversation(**(values | {"control": Control(values["control"])}))


def find(tx: Transaction, conversation: str) -> Conversation:
    """Raises NotFound."""
    row = tx.conn.execute(sa.select(conversations).where(conversations.c.id == conversation)).one_or_none()
    if row is None:
        raise NotFound("there is no such conversation")
    return from_row(row)


def lock(tx: Transaction, conversation: str) -> Conversation:
    """The conversation, locked; its thread must be locked already. Raises NotFound."""
    query = sa.select(conversations).where(conversations.c.id == conversation).with_for_update()
    row = tx.conn.execute(query).one_or_none()
    if row is None:
        raise NotFound("there is no such conversation")
    return from_row(row)


def open_in(tx: Transaction, thread: str) -> Conversation | None:
    """The thread's open conversation, locked."""
    query = (
        sa.select(conversations)
        .where(conversations.c.thread_id == thread, sa.text(OPEN_CONVERSATION))
        .with_for_update()
    )
    row = tx.conn.execute(query).one_or_none()
    return None if row is None else from_row(row)


def latest_in(tx: Transaction, thread: str) -> Conversation | None:
    """The thread's open conversation, or else the one that was closed last. Clocks may have been set back meanwhile."""
    mine = sa.select(conversations).where(conversations.c.thread_id == thread)
    row = tx.conn.execute(mine.where(sa.text(OPEN_CONVERSATION))).one_or_none()
    if row is None:
        ended = mine.order_by(conversations.c.opened_at.desc(), conversations.c.first_seq.desc()).limit(1)
        row = tx.conn.execute(ended).one_or_none()
    return None if row is None else from_row(row)


def begin(tx: Transaction, thread: Thread, silence_ms: int) -> Conversation:
    """Opens a conversation behind the thread's last message, with a timer that ends it after silence."""
    values: dict[str, Any] = {
        "id": new_id(),
        "account": thread.account,
        "thread_id": thread.id,
        "channel": thread.channel,
        "customer_id": thread.customer_id,
        "control": Control.ASSISTANT.value,
        "epoch": 1,
        "agent_id": None,
        "agent_name": None,
        "queue": None,
        "opened_at": tx.now,
        "active_at": tx.now,
        "closed_at": None,
        "outcome": None,
        "first_seq": thread.last_seq + 1,
        "last_seq": thread.last_seq,
        "consumed_seq": thread.last_seq,
        "state": None,
        "state_version": 0,
        "verification": None,
        "due_at": None,
        "lease": None,
    }
    tx.conn.execute(sa.insert(conversations).values(values))
    set_timer(tx, SILENCE, values["id"], tx.now + silence_ms)
    return Conversation(**(values | {"control": Control.ASSISTANT}))


def set_timer(
    tx: Transaction, kind: str, conversation: str, due_at: int, epoch: int | None = None, attempt: int = 1
) -> None:
    """A row that comes due; with an epoch it only fires while that epoch lasts."""
    tx.conn.execute(
        sa.insert(timers).values(
            id=new_id(), kind=kind, conversation_id=conversation, epoch=epoch, attempt=attempt, due_at=due_at
        )
    )


def change(
    tx: Transaction, conversation: Conversation, to: Standing, agent_name: str | None = None, **values: Any
) -> Conversation:
    """Writes a change of control that `control.py` decided, fencing whatever ran under the old epoch.

    Unless `consumed_seq` says otherwise, everything the customer wrote so far counts as taken: a person read it, or will.

    Raises:
        Conflict: somebody else changed the conversation since it was read.
    """
    values = {
        "control": to.control.value,
        "epoch": to.epoch,
        "agent_id": to.agent,
        "agent_name": agent_name,
        "consumed_seq": conversation.last_seq,
        "due_at": None,
        "lease": None,
    } | values
    if to.control is Control.CLOSED:
        values["closed_at"] = tx.now
    done = tx.conn.execute(
        sa.update(conversations)
        .where(conversations.c.id == conversation.id, conversations.c.epoch == conversation.epoch)
        .values(values)
    )
    if done.rowcount != 1:
        raise Conflict("conflict", "the conversation was changed by somebody else")
    tx.wake(thread_topic(conversation.thread_id))
    return replace(conversation, **(values | {"control": to.control}))


def update(tx: Transaction, conversation: Conversation, **values: Any) -> Conversation:
    """Writes fields of a conversation that this transaction has locked."""
    tx.conn.execute(sa.update(conversations).where(conversations.c.id == conversation.id).values(values))
    return replace(conversation, **values)
