"""Who may see what: agents the waiting handoffs of their queues and what is theirs, supervisors and admins everything."""

from __future__ import annotations

import sqlalchemy as sa

from conversations.store import Transaction
from conversations.store.conversations import Conversation
from conversations.store.tables import QUEUED_HANDOFF, conversations, handoffs

from .agents import Agent
from .records import Handoff
from .room import NotYours


def must_see_handoff(agent: Agent, handoff: Handoff) -> None:
    """Raises NotYours."""
    waits_for_me = handoff.state == "queued" and handoff.queue in agent.queues
    if not (agent.sees_all or handoff.accepted_by == agent.id or waits_for_me):
        raise NotYours("this handoff is not yours")


def must_see_conversation(tx: Transaction, agent: Agent, conversation: Conversation) -> None:
    """Raises NotYours."""
    if not sees_conversation(tx, agent, conversation):
        raise NotYours("this conversation is not yours")


def sees_conversation(tx: Transaction, agent: Agent, conversation: Conversation) -> bool:
    """Whether the agent attended it, or has its customer now, or may take the customer from a queue."""
    attended = sa.and_(handoffs.c.conversation_id == conversation.id, handoffs.c.accepted_by == agent.id)
    return (
        agent.sees_all
        or sees_customer(tx, agent, conversation.customer_id)
        or tx.conn.execute(sa.select(handoffs.c.id).where(attended).limit(1)).first() is not None
    )


def must_see_customer(tx: Transaction, agent: Agent, customer: str) -> None:
    """Raises NotYours."""
    if not agent.sees_all and not sees_customer(tx, agent, customer):
        raise NotYours("this customer is not yours")


def sees_customer(tx: Transaction, agent: Agent, customer: str) -> bool:
    """Whether the customer is with the agent now, or waits in one of the agent's queues."""
    mine = sa.select(conversations.c.id).where(
        conversations.c.control == "agent",
        conversations.c.agent_id == agent.id,
        conversations.c.customer_id == customer,
    )
    waiting = sa.select(handoffs.c.id).where(
        sa.text(QUEUED_HANDOFF), handoffs.c.queue.in_(agent.queues), handoffs.c.customer_id == customer
    )
    return any(tx.conn.execute(query.limit(1)).first() is not None for query in (mine, waiting))


def may_hear(agent: Agent, queue: str | None, addressee: str | None) -> bool:
    """Whether a desk event is for this agent: it names an agent, or a queue, or (naming neither) is for everybody."""
    if agent.sees_all:
        return True
    if addressee is not None:
        return addressee == agent.id
    return queue is None or queue in agent.queues
