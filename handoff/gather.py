"""Gathers the context of a handoff from the store, inside the transaction that makes the handoff.

What the assistant answered was not made by us, so whatever has another shape than expected is left out: a person who is
needed is never refused because of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog

from conversations.messages import AuthorKind, Message, clean_text, rfc3339
from conversations.ports import HandoffRequest
from conversations.store import Transaction, identities, messages, threads, turns
from conversations.store.conversations import Conversation
from conversations.store.tables import conversations as conversations_table
from conversations.store.tables import messages as messages_table
from conversations.store.tables import outbox
from conversations.verification import from_stored

from . import context as shape
from . import summary
from .reasons import Reason

log = structlog.get_logger(__name__)

MAX_MESSAGES = 200
"""Messages that a context lists; older ones are behind `older_url`."""
MAX_PREVIOUS = 5
MAX_PER_PREVIOUS = 50

SENSITIVE_SLOTS = frozenset({"email", "phone", "postcode", "proof"})

Json = Mapping[str, Any]


class ContextIncomplete(Exception):
    """The transcript of a context is not what the store holds."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a context is made for."""

    id: str
    attempt: int
    reason: Reason
    queue: str
    priority: int
    why: HandoffRequest


def gather(tx: Transaction, conversation: Conversation, case: Case, strict: bool) -> shape.Context:
    """Everything that is known about the conversation now.

    Raises:
        ContextIncomplete: `strict`, and the transcript's count or numbers differ from the store's. Otherwise that is
            logged, and the context says that it is not complete.
    """
    thread = threads.find(tx, conversation.thread_id)
    person = threads.customer(tx, conversation.customer_id)
    listed = messages.of_conversation(tx, conversation, MAX_MESSAGES)
    rows = turns.of_conversation(tx, conversation.id)
    results = [cleaned(row.result or {}) for row in rows]
    understanding = _understanding(listed, rows)
    slots = _slots(results, understanding)
    lookups = [found for result in results for found in read_lookups(result)]
    attempted = _attempted(rows, results)
    verification = shape.Verification(**_verification(conversation, tx.now))
    address = None if thread.channel == "webchat" else thread.address
    last_words = next((m.content.text for m in reversed(listed) if _by_customer(m)), None)
    return shape.Context(
        handoff=shape.HandoffPart(
            id=case.id,
            conversation_id=conversation.id,
            epoch=conversation.epoch,
            created_at=rfc3339(tx.now),
            attempt=case.attempt,
        ),
        trigger=shape.Trigger(
            type=case.reason,
            rule=case.why.rule,
            failed_turns=_failed_turns(rows),
            message_id=case.why.message,
            note=case.why.note,
        ),
        summary=shape.Summary(
            text=summary.compose(
                case.reason,
                case.why.note,
                understanding,
                slots,
                verification,
                person.name,
                lookups,
                attempted,
                last_words,
            )
        ),
        channel=shape.Channel(
            name=thread.channel,
            provider=thread.provider or None,
            address=address,
            can_freeform=True if thread.channel == "webchat" else None,
            locale=thread.locale,
        ),
        customer=shape.Customer(
            id=person.id,
            name=person.name,
            identities=_identities(tx, thread, address),
            verification=verification,
            previous_conversations=_previous(tx, conversation),
        ),
        understanding=understanding,
        dialogue=_dialogue(results, slots, len(rows)),
        lookups=lookups,
        attempted=attempted,
        transcript=_transcript(tx, conversation, listed, thread.outbox, strict),
        routing=shape.Routing(
            queue=case.queue, skills=[], priority=case.priority, enqueued_at=rfc3339(tx.now)
        ),
        privacy=shape.Privacy(masked_fields=[]),
        back=shape.Back(),
    )


def _identities(tx: Transaction, thread: threads.Thread, address: str | None) -> list[shape.Identity]:
    """What the customer proved to be theirs, and else the address that they write from."""
    proved = [
        shape.Identity(channel=one.channel, address=one.address, verified=True)
        for one in identities.of_customer(tx, thread.customer_id)
    ]
    if any(one.channel == thread.channel for one in proved):
        return proved
    verified = False if thread.channel == "webchat" else None
    return [*proved, shape.Identity(channel=thread.channel, address=address, verified=verified)]


def older_url(conversation: str, seq: int) -> str:
    """Where the desk reads what precedes message `seq`."""
    return f"/desk/api/conversations/{conversation}/messages?before={seq}"


# --------------------------------------------------------------- transcript


def _transcript(
    tx: Transaction, conversation: Conversation, listed: Sequence[Message], sent: bool, strict: bool
) -> shape.Transcript:
    first, last, count = _in_store(tx, conversation)
    faults = _faults(conversation, listed, first, last, count)
    if faults and strict:
        raise ContextIncomplete("; ".join(faults))
    if faults:
        log.error("handoff.context_incomplete", conversation=conversation.id, faults=faults)
    providers = _provider_ids(tx, [m.id for m in listed]) if sent else {}
    cut = bool(listed) and (listed[0].seq or 0) > first
    return shape.Transcript(
        messages=[_line(m, providers.get(m.id)) for m in listed],
        first_seq=first,
        last_seq=last,
        count=count,
        complete=not faults and not cut,
        older_url=older_url(conversation.id, listed[0].seq or 0) if cut else None,
    )


def _in_store(tx: Transaction, conversation: Conversation) -> tuple[int, int, int]:
    """First and last number and count of the messages that the store holds for the conversation, asked independently."""
    table = messages_table
    query = sa.select(sa.func.min(table.c.seq), sa.func.max(table.c.seq), sa.func.count()).where(
        table.c.thread_id == conversation.thread_id,
        table.c.seq >= conversation.first_seq,
        table.c.conversation_id == conversation.id,
    )
    first, last, count = tx.conn.execute(query).one()
    return first or conversation.first_seq, last or conversation.last_seq, int(count)


def _faults(
    conversation: Conversation, listed: Sequence[Message], first: int, last: int, count: int
) -> list[str]:
    """Where the conversation's own numbers, the store's and the list differ."""
    numbers = [m.seq for m in listed]
    expected = list(range(last - len(listed) + 1, last + 1))
    checks = {
        "the conversation's numbers are not the store's": (conversation.first_seq, conversation.last_seq)
        == (first, last),
        "the store has gaps": count == last - first + 1,
        "the list has gaps, or another end": numbers == expected,
        "the list is too short": len(listed) == min(count, MAX_MESSAGES),
        "the list holds another conversation's messages": all(
            m.conversation == conversation.id for m in listed
        ),
    }
    return [fault for fault, holds in checks.items() if not holds]


def _line(message: Message, provider_id: str | None) -> shape.TranscriptMessage:
    author = message.author
    return shape.TranscriptMessage(
        id=message.id,
        seq=message.seq or 0,
        provider_id=provider_id,
        author=shape.Author(kind=author.kind.value, name=author.name, id=author.id),
        content=message.content.as_json(),
        status=message.status,
        at=rfc3339(message.sent_at),
    )


def _provider_ids(tx: Transaction, ids: list[str]) -> dict[str, str | None]:
    query = sa.select(outbox.c.message_id, outbox.c.provider_id).where(outbox.c.message_id.in_(ids))
    return {row.message_id: row.provider_id for row in tx.conn.execute(query)}


def _by_customer(message: Message) -> bool:
    return message.author.kind is AuthorKind.CUSTOMER


# ------------------------------------------------- what the assistant found


def _understanding(listed: Sequence[Message], rows: Sequence[sa.Row[Any]]) -> list[shape.Understood]:
    models = {row.input_seq: _text(cleaned(row.result or {}).get("model")) for row in rows}
    return [_understood(m, models.get(m.seq or 0)) for m in listed if _by_customer(m) and m.seq is not None]


def _understood(message: Message, model: str | None) -> shape.Understood:
    said = cleaned(message.understood or {})
    return shape.Understood(
        message_id=message.id,
        seq=message.seq or 0,
        intents=read_intents(said),
        entities=[
            shape.Entity(
                entity=str(e["entity"]),
                value=e.get("value"),
                start=_int(e.get("start")),
                end=_int(e.get("end")),
                message_id=message.id,
            )
            for e in _objects(said, "entities")
            if "entity" in e
        ],
        model_id=model,
    )


def read_intents(understood: Json) -> list[shape.Intent]:
    """The ranked intents of a message, as far as they can be read."""
    return [
        shape.Intent(name=str(i["name"]), confidence=_float(i.get("confidence")) or 0.0)
        for i in _objects(understood, "intents")
        if i.get("name")
    ]


def _slots(results: Sequence[Json], understanding: Sequence[shape.Understood]) -> list[shape.Slot]:
    last = _last_answer(results).get("slots")
    values = last if isinstance(last, Mapping) else {}
    return [
        shape.Slot(
            name=str(name),
            label=summary.label(str(name)),
            value=value,
            source_message_id=_source(str(name), understanding),
            sensitive=str(name) in SENSITIVE_SLOTS,
        )
        for name, value in values.items()
        if name != "requested_slot" and value is not None
    ]


def _source(slot: str, understanding: Sequence[shape.Understood]) -> str | None:
    """The customer's last message with an entity of the slot's name."""
    for understood in reversed(understanding):
        if any(entity.entity == slot for entity in understood.entities):
            return understood.message_id
    return None


def _dialogue(results: Sequence[Json], slots: list[shape.Slot], count: int) -> shape.Dialogue:
    last = _last_answer(results).get("form")
    form = last if isinstance(last, Mapping) else {}
    return shape.Dialogue(
        slots=slots,
        active_form=_text(form.get("name")),
        requested_slot=_text(form.get("requested_slot")),
        turns=count,
    )


def _last_answer(results: Sequence[Json]) -> Json:
    """The findings of the last turn that the assistant answered."""
    return next((result for result in reversed(results) if result.get("model")), {})


def read_lookups(result: Json) -> list[shape.Lookup]:
    """The look-ups of one turn, as far as they can be read."""
    return [
        shape.Lookup(
            action=str(x["action"]),
            asked=x.get("asked"),
            at=_text(x.get("at")),
            ok=x.get("ok") is True,
            result=x.get("result"),
            error=_text(x.get("error")),
            seconds=_float(x.get("seconds")),
        )
        for x in _objects(result, "lookups")
        if "action" in x
    ]


def read_effects(result: Json) -> list[dict[str, Any]]:
    """The effects of one turn."""
    return [dict(effect) for effect in _objects(result, "effects")]


def _attempted(rows: Sequence[sa.Row[Any]], results: Sequence[Json]) -> list[shape.Attempt]:
    """What was tried, oldest first: custom actions, verification, and turns that failed as a whole."""
    attempts: list[shape.Attempt] = []
    for row, result in zip(rows, results, strict=True):
        attempts += [_action(a) for a in _objects(result, "actions") if "name" in a]
        attempts += [_check(e) for e in _objects(result, "effects") if e.get("kind") == "set_verification"]
        if row.status == "failed":
            attempts.append(shape.Attempt(what="answer of the assistant", outcome=row.error or "failed"))
    return attempts


def _action(action: Json) -> shape.Attempt:
    outcome = "done" if action.get("ok") else _text(action.get("error")) or "failed"
    return shape.Attempt(what=str(action["name"]), outcome=outcome)


def _check(effect: Json) -> shape.Attempt:
    return shape.Attempt(what="verification", outcome="failed" if effect.get("failed") else "done")


def _failed_turns(rows: Sequence[sa.Row[Any]]) -> int:
    count = 0
    for row in reversed(rows):
        understood = cleaned(row.result or {}).get("understanding")
        intents = read_intents(understood if isinstance(understood, Mapping) else {})
        lost = bool(intents) and intents[0].name in summary.NOT_UNDERSTOOD
        if row.status != "failed" and not lost:
            break
        count += 1
    return count


# ----------------------------------------------------------------- customer


def _verification(conversation: Conversation, now: int) -> dict[str, Any]:
    fields = shape.Verification.model_fields
    return {k: v for k, v in from_stored(conversation.verification, now).items() if k in fields}


def _previous(tx: Transaction, conversation: Conversation) -> list[shape.PreviousConversation]:
    table = conversations_table
    query = (
        sa.select(table)
        .where(table.c.customer_id == conversation.customer_id, table.c.id != conversation.id)
        .order_by(table.c.opened_at.desc())
        .limit(MAX_PREVIOUS)
    )
    return [
        shape.PreviousConversation(
            id=row.id,
            channel=row.channel,
            opened_at=rfc3339(row.opened_at),
            closed_at=rfc3339(row.closed_at) if row.closed_at is not None else None,
            topic=_topic(tx, row),
            outcome=row.outcome,
        )
        for row in tx.conn.execute(query).all()
    ]


def _topic(tx: Transaction, conversation: sa.Row[Any]) -> str | None:
    table = messages_table
    query = (
        sa.select(table.c.understood)
        .where(
            table.c.thread_id == conversation.thread_id,
            table.c.seq >= conversation.first_seq,
            table.c.seq <= conversation.last_seq,
            table.c.author_kind == AuthorKind.CUSTOMER.value,
        )
        .order_by(table.c.seq)
        .limit(MAX_PER_PREVIOUS)
    )
    for understood in tx.conn.execute(query).scalars():
        intents = read_intents(cleaned(understood or {}))
        if intents and intents[0].name not in summary.SMALL_TALK:
            return intents[0].name
    return None


# ------------------------------------------------------------------ reading


def cleaned(value: Any) -> Any:
    """A JSON value whose texts every database and every client can hold."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(str(key)): cleaned(part) for key, part in value.items()}
    return [cleaned(part) for part in value] if isinstance(value, list | tuple) else value


def _objects(source: Json, key: str) -> Iterable[Json]:
    found = source.get(key)
    return (x for x in found if isinstance(x, Mapping)) if isinstance(found, list | tuple) else ()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
