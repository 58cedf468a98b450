"""The tables. Every time is in milliseconds since 1970, by the database's clock."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = String(64)
Moment = BigInteger

# The conditions of the partial indexes, word for word in the queries too: a bound parameter would hide the index.
OPEN_CONVERSATION = "control <> 'closed'"
AGENTS_CONVERSATION = "control = 'agent'"
OUTBOX_HEAD = "head AND outbox.status IN ('pending', 'taken')"
OUTBOX_WAITING = "outbox.status IN ('pending', 'taken')"
OPEN_HANDOFF = "handoffs.state IN ('queued', 'offered', 'accepted')"
QUEUED_HANDOFF = "handoffs.state = 'queued'"
AGENTS_MESSAGE = "author_kind = 'agent' AND client_id IS NOT NULL"


def _partial(name: str, condition: str, *columns: Column[object], unique: bool = False) -> Index:
    where = text(condition.replace("outbox.", "").replace("handoffs.", ""))
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


customers = Table(
    "customers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("name", Text),
    Column("directory_id", Text),
    Column("created_at", Moment, nullable=False),
)

threads = Table(
    "threads",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("address", String(255), nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("outbox", Boolean, nullable=False),
    Column("locale", String(35)),
    Column("last_seq", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("account", "channel", "address"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("thread_id", Id, ForeignKey("threads.id"), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("control", String(16), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("agent_id", Id),
    Column("agent_name", Text),
    Column("queue", String(64)),
    Column("opened_at", Moment, nullable=False),
    Column("active_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("outcome", String(64)),
    Column("first_seq", Integer, nullable=False),
    Column("last_seq", Integer, nullable=False),
    Column("consumed_seq", Integer, nullable=False),
    Column("state", JSON(none_as_null=True)),
    Column("state_version", Integer, nullable=False),
    Column("verification", JSON(none_as_null=True)),
    Column("due_at", Moment),
    Column("lease", Id),
)
_partial("uq_conversations_open", OPEN_CONVERSATION, conversations.c.thread_id, unique=True)
_partial("ix_conversations_due", "due_at IS NOT NULL", conversations.c.due_at)
Index("ix_conversations_thread", conversations.c.thread_id, conversations.c.opened_at)
Index("ix_conversations_customer", conversations.c.customer_id, conversations.c.opened_at)
_partial("ix_conversations_agent", AGENTS_CONVERSATION, conversations.c.agent_id)

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("thread_id", Id, ForeignKey("threads.id"), nullable=False),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False),
    Column("seq", Integer),
    Column("author_kind", String(16), nullable=False),
    Column("author_id", Id),
    Column("author_name", Text),
    Column("content", JSON, nullable=False),
    Column("choice", Text),
    Column("client_id", String(255)),
    Column("status", String(16), nullable=False),
    Column("sent_at", Moment, nullable=False),
    Column("turn_id", Id),
    Column("understood", JSON(none_as_null=True)),
    UniqueConstraint("thread_id", "seq"),
)
_partial("ix_messages_notes", "seq IS NULL", messages.c.conversation_id, messages.c.id)
_partial(
    "uq_messages_agent_client",
    AGENTS_MESSAGE,
    messages.c.conversation_id,
    messages.c.client_id,
    unique=True,
)

seen_events = Table(
    "seen_events",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("event_id", String(255), primary_key=True),
    Column("fingerprint", String(32), nullable=False),
    Column("thread_id", Id, nullable=False),
    Column("conversation_id", Id, nullable=False),
    Column("message_id", Id, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("seen_at", Moment, nullable=False),
)
Index("ix_seen_events_seen_at", seen_events.c.seen_at)

turns = Table(
    "turns",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False),
    Column("input_seq", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("state_version", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("error", Text),
    Column("result", JSON(none_as_null=True)),
    UniqueConstraint("conversation_id", "input_seq"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("thread_id", Id, ForeignKey("threads.id"), nullable=False),
    Column("message_id", Id, ForeignKey("messages.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("author_kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("head", Boolean, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease", Id),
    Column("expires_at", Moment),
    Column("provider_id", String(255)),
    Column("error", Text),
    Column("created_at", Moment, nullable=False),
    Column("finished_at", Moment),
)
_partial("ix_outbox_due", OUTBOX_HEAD, outbox.c.due_at)
_partial("ix_outbox_thread", OUTBOX_WAITING, outbox.c.thread_id, outbox.c.seq)

timers = Table(
    "timers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False),
    Column("epoch", Integer),
    Column("attempt", Integer, nullable=False),
    Column("due_at", Moment, nullable=False),
)
Index("ix_timers_due", timers.c.due_at)
Index("ix_timers_conversation", timers.c.conversation_id)

handoffs = Table(
    "handoffs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", String(64), nullable=False),
    Column("conversation_id", Id, ForeignKey("conversations.id"), nullable=False),
    Column("thread_id", Id, ForeignKey("threads.id"), nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("summary", Text, nullable=False),
    Column("queue", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("enqueued_at", Moment, nullable=False),
    Column("accepted_by", Id),
    Column("accepted_by_name", Text),
    Column("accepted_at", Moment),
    Column("ended_at", Moment),
    Column("disposition", String(64)),
    Column("declined", JSON, nullable=False),
    Column("context", JSON, nullable=False),
)
_partial("uq_handoffs_open", OPEN_HANDOFF, handoffs.c.conversation_id, unique=True)
_partial("ix_handoffs_queue", QUEUED_HANDOFF, handoffs.c.queue, handoffs.c.priority, handoffs.c.enqueued_at)
Index("ix_handoffs_conversation", handoffs.c.conversation_id, handoffs.c.enqueued_at)

agents = Table(
    "agents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("email", String(255), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("languages", JSON, nullable=False),
    Column("queues", JSON, nullable=False),
    Column("skills", JSON, nullable=False),
    Column("presence", String(16), nullable=False),
    Column("presence_reason", Text),
    Column("last_seen_at", Moment),
    Column("created_at", Moment, nullable=False),
)

agent_sessions = Table(
    "agent_sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("agent_id", Id, ForeignKey("agents.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
)
Index("ix_agent_sessions_agent", agent_sessions.c.agent_id)

identities = Table(
    "identities",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("channel", String(32), primary_key=True),
    Column("address", String(255), primary_key=True),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("thread_id", Id, ForeignKey("threads.id"), nullable=False),
    Column("method", String(32), nullable=False),
    Column("name", Text),
    Column("email", Text),
    Column("phone", Text),
    Column("created_at", Moment, nullable=False),
    Column("verified_at", Moment, nullable=False),
)
Index("ix_identities_customer", identities.c.customer_id)

chat_sessions = Table(
    "chat_sessions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("thread_id", Id, ForeignKey("threads.id"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

attempts = Table(
    "attempts",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("window_start", Moment, nullable=False),
    Column("count", Integer, nullable=False),
)

desk_events = Table(
    "desk_events",
    metadata,
    Column("event", BigInteger, primary_key=True, autoincrement=False),
    Column("type", String(32), nullable=False),
    Column("at", Moment, nullable=False),
    Column("queue", String(64)),
    Column("agent_id", Id),
    Column("body", JSON, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
