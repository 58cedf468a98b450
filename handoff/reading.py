"""What the desk shows on request. Each function reads in one transaction, so that what it gives belongs together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from conversations.control import Control
from conversations.messages import rfc3339
from conversations.store import Transaction, conversations, messages, threads, turns, views
from conversations.store.tables import AGENTS_CONVERSATION
from conversations.store.tables import conversations as conversations_table

from . import access, agents, events, records
from .agents import Agent
from .context import Later
from .gather import cleaned, read_effects, read_lookups
from .records import Handoff

MAX_CONVERSATIONS = 20


def state(tx: Transaction, agent_id: str, queues: Sequence[str]) -> dict[str, Any]:
    """One snapshot: the number of the newest event and all that the events so far led to."""
    me = agents.find(tx, agent_id)
    handoffs = records.visible(tx, me.id, None if me.sees_all else me.queues)
    places = records.positions(handoffs)
    mine = sa.select(conversations_table).where(
        sa.text(AGENTS_CONVERSATION), conversations_table.c.agent_id == me.id
    )
    held = [conversations.from_row(row) for row in tx.conn.execute(mine).all()]
    return {
        "event": views.last_event(tx),
        "me": me.as_json(),
        "agents": [agent.as_json() for agent in agents.everybody(tx)],
        "queues": [events.queue_json(tx, queue) for queue in queues if me.sees_all or queue in me.queues],
        "handoffs": [events.handoff_json(handoff, places.get(handoff.id)) for handoff in handoffs],
        "conversations": [events.conversation_json(tx, conversation) for conversation in held],
    }


def context(tx: Transaction, agent: Agent, handoff_id: str) -> dict[str, Any]:
    """The handoff's context, with what came later. Raises NotFound, NotYours."""
    handoff = records.find(tx, handoff_id)
    access.must_see_handoff(agent, handoff)
    found = records.context_of(tx, handoff_id)
    if not agent.sees_all:
        found = _masked(found)
    return found | {"later": _later(tx, handoff, found).model_dump(mode="json")}


def _later(tx: Transaction, handoff: Handoff, context: dict[str, Any]) -> Later:
    """What turns found or did that ended outdated: their replies were dropped, but an account may have changed."""
    conversation = conversations.find(tx, handoff.conversation_id)
    made_at = context["handoff"]["created_at"]
    results = [
        cleaned(row.result or {})
        for row in turns.of_conversation(tx, conversation.id)
        if row.status == "outdated" and row.finished_at and rfc3339(row.finished_at) >= made_at
    ]
    return Later(
        last_seq=conversation.last_seq,
        lookups=[lookup for result in results for lookup in read_lookups(result)],
        effects=[effect for result in results for effect in read_effects(result)],
    )


def _masked(context: dict[str, Any]) -> dict[str, Any]:
    """Without the parts of addresses that an agent's work does not need."""
    channel, customer, privacy = context["channel"], context["customer"], context["privacy"]
    if channel["address"] is None:
        return context
    identities = [one | {"address": _hidden(one["address"])} for one in customer["identities"]]
    fields = [*privacy["masked_fields"], "channel.address", "customer.identities.address"]
    return context | {
        "channel": channel | {"address": _hidden(channel["address"])},
        "customer": customer | {"identities": identities},
        "privacy": privacy | {"masked_fields": fields},
    }


def _hidden(address: str | None) -> str | None:
    if address is None:
        return None
    shown = address[-3:] if len(address) > 6 else ""
    return "•" * (len(address) - len(shown)) + shown


def history(
    tx: Transaction, agent: Agent, conversation_id: str, before: int | None, limit: int
) -> dict[str, Any]:
    """Up to `limit` of the conversation's messages before a number, and all its notes. Raises NotFound, NotYours."""
    conversation = conversations.find(tx, conversation_id)
    access.must_see_conversation(tx, agent, conversation)
    end = conversation.last_seq + 1
    upto = end if before is None else min(before, end)
    found = messages.before(tx, conversation.thread_id, upto, limit)
    own = [m for m in found if (m.seq or 0) >= conversation.first_seq]
    first = own[0].seq if own else None
    return {
        "messages": [m.for_desk() for m in own],
        "more": first is not None and first > conversation.first_seq,
        "notes": [m.for_desk() for m in messages.notes(tx, conversation_id)],
    }


def customer(tx: Transaction, agent: Agent, customer_id: str) -> dict[str, Any]:
    """The customer, and their last conversations. Raises NotFound, NotYours."""
    person = threads.customer(tx, customer_id)
    access.must_see_customer(tx, agent, customer_id)
    table = conversations_table
    query = sa.select(table).where(table.c.customer_id == customer_id).order_by(table.c.opened_at.desc())
    rows = tx.conn.execute(query.limit(MAX_CONVERSATIONS)).all()
    return {
        "customer": {
            "id": person.id,
            "name": person.name,
            "directory_id": person.directory_id,
            "created_at": rfc3339(person.created_at),
        },
        "conversations": [
            {
                "id": row.id,
                "channel": row.channel,
                "control": Control(row.control).value,
                "opened_at": rfc3339(row.opened_at),
                "closed_at": None if row.closed_at is None else rfc3339(row.closed_at),
                "outcome": row.outcome,
            }
            for row in rows
        ],
    }
