"""Claiming work and reading a thread touch no more rows with a full history than without: the plans say so."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from conversations.messages import AuthorKind, Inbound, Sender
from conversations.store import Store, Transaction, conversations, messages, outbox, timers, turns, views
from tests.conversations.world import World

# What may never be read from end to end, because it grows with history.
GROWING = (
    "messages",
    "conversations",
    "turns",
    "outbox",
    "seen_events",
    "handoffs",
    "desk_events",
    "threads",
    "timers",
)
OLD = 20_000
TEXT = '{"kind": "text", "text": "hi"}'


class Plans:
    """Asks the database how it would run every statement of a job."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self.statements: list[tuple[str, Any]] = []

    def __enter__(self) -> Plans:
        sa.event.listen(self.tx.conn, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sa.event.remove(self.tx.conn, "before_cursor_execute", self._note)

    def _note(self, conn: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            self.statements.append((statement, parameters))

    def scans(self) -> list[str]:
        """Statements that would read a growing table from end to end."""
        sqlite = self.tx.conn.dialect.name == "sqlite"
        prefix, mark = ("EXPLAIN QUERY PLAN ", "SCAN ") if sqlite else ("EXPLAIN ", "Seq Scan on ")
        found = []
        for statement, parameters in self.statements:
            plan = [str(row) for row in self.tx.conn.exec_driver_sql(prefix + statement, parameters)]
            found += [line for line in plan for table in GROWING if _reads_all(line, mark + table)]
        return found


def _reads_all(line: str, scan: str) -> bool:
    # SQLite names an index after a scan that walks only that index's few entries.
    return scan in line and "USING" not in line.split(scan)[1]


@pytest.fixture
async def old_world(store: Store) -> World:
    """A store with a long history, and one live conversation."""
    world = World(store)
    await store.write(_fill)
    await world.says("hi")
    return world


def _fill(tx: Transaction) -> None:
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {OLD}) "
    for statement in (
        "INSERT INTO customers (id, account, created_at) VALUES ('c', 'main', 0)",
        "INSERT INTO threads (id, account, channel, provider, address, customer_id, outbox, last_seq, created_at)"
        f" VALUES ('t', 'main', 'webchat', '', 'old', 'c', false, {OLD}, 0)",
        "INSERT INTO threads (id, account, channel, provider, address, customer_id, outbox, last_seq, created_at)"
        f" {numbers} SELECT 't' || i, 'main', 'sms', '', 'a' || i, 'c', true, 0, 0 FROM n",
        "INSERT INTO conversations (id, account, thread_id, channel, customer_id, control, epoch, opened_at,"
        " active_at, closed_at, first_seq, last_seq, consumed_seq, state_version)"
        f" {numbers} SELECT 'c' || i, 'main', 't', 'webchat', 'c', 'closed', 2, i, i, i, i, i, i, 1 FROM n",
        "INSERT INTO messages (id, account, thread_id, conversation_id, seq, author_kind, content, status, sent_at)"
        f" {numbers} SELECT 'm' || i, 'main', 't', 'c' || i, i, 'customer', '{TEXT}', 'sent', i FROM n",
        "INSERT INTO turns (id, conversation_id, input_seq, epoch, state_version, status, attempts, asked_at)"
        f" {numbers} SELECT 'u' || i, 'c' || i, i, 1, 0, 'committed', 1, i FROM n",
        "INSERT INTO outbox (id, account, channel, thread_id, message_id, seq, author_kind, status, head, due_at,"
        " attempts, created_at)"
        f" {numbers} SELECT 'o' || i, 'main', 'sms', 't', 'm' || i, i, 'assistant', 'sent', false, i, 1, i FROM n",
        "INSERT INTO seen_events (account, kind, event_id, fingerprint, thread_id, conversation_id, message_id, seq,"
        f" seen_at) {numbers} SELECT 'main', 'message', 'e' || i, '', 't', 'c' || i, 'm' || i, i, i FROM n",
        f"INSERT INTO desk_events (event, type, at, body) {numbers} SELECT i, 'message', i, '{{}}' FROM n",
        "INSERT INTO timers (id, kind, conversation_id, attempt, due_at)"
        f" {numbers} SELECT 'w' || i, 'silence', 'c' || i, 1, 99999999999999 FROM n",
    ):
        tx.conn.exec_driver_sql(statement)
    if tx.conn.dialect.name == "postgresql":
        tx.conn.exec_driver_sql("ANALYZE")


async def test_nothing_on_the_path_of_a_message_reads_history_from_end_to_end(old_world: World) -> None:
    world = old_world

    def path(tx: Transaction) -> list[str]:
        with Plans(tx) as plans:
            turns.next_due(tx)
            claim = next(iter(turns.claim(tx, 1, 1000)))
            thread = claim.conversation.thread_id
            outbox.next_due(tx)
            outbox.claim(tx, ("sms",), 10, 1000)
            timers.next_due(tx)
            timers.take_due(tx, 10)
            conversations.open_in(tx, thread)
            conversations.latest_in(tx, "t")
            messages.after(tx, "t", OLD - 50, 500)
            messages.before(tx, "t", OLD - 50, 50)
            messages.at(tx, "t", 17)
            messages.notes(tx, claim.conversation.id)
            messages.last_seq_of(tx, claim.conversation, AuthorKind.AGENT)
            turns.of_conversation(tx, claim.conversation.id)
            turns.release_all(tx)
            views.thread_view(tx, thread, 0)
            views.events_after(tx, OLD - 5)
        assert len(plans.statements) > 15
        return plans.scans()

    assert await world.store.write(path) == []


async def test_accepting_a_message_reads_no_history_from_end_to_end(old_world: World) -> None:
    world = old_world

    def path(tx: Transaction) -> list[str]:
        sender = Sender("main", "sms", "+44", outbox=True)
        with Plans(tx) as plans:
            world.intake.accept(tx, Inbound(sender, "new", "hello"))
            world.intake.accept(tx, Inbound(sender, "new", "hello"))
        return plans.scans()

    assert await world.store.write(path) == []
