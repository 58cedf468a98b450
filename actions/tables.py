"""Tables of the account database."""

from __future__ import annotations

from sqlalchemy import Column, Date, Float, ForeignKey, Index, Integer, MetaData, String, Table

metadata = MetaData()

customers = Table(
    "customers",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("email", String(200), nullable=False, unique=True),
    Column("phone", String(32), nullable=False),
    Column("street", String(120), nullable=False),
    Column("town", String(80), nullable=False),
    Column("postcode", String(16), nullable=False),
    Column("since", Date, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("number", String(16), primary_key=True),
    Column("customer", ForeignKey("customers.id"), nullable=False, index=True),
    Column("state", String(24), nullable=False),
    Column("placed_on", Date, nullable=False),
    Column("items", String(200), nullable=False),
    Column("total_pence", Integer, nullable=False),
    Column("expected_on", Date),
)

shipments = Table(
    "shipments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("order_number", ForeignKey("orders.number"), nullable=False, unique=True),
    Column("carrier", String(60), nullable=False),
    Column("tracking", String(40), nullable=False),
    Column("state", String(24), nullable=False),
    Column("sent_on", Date),
    Column("delivered_on", Date),
    Column("trouble", String(200)),
)

invoices = Table(
    "invoices",
    metadata,
    Column("number", String(16), primary_key=True),
    Column("customer", ForeignKey("customers.id"), nullable=False, index=True),
    Column("order_number", ForeignKey("orders.number"), nullable=False),
    Column("issued_on", Date, nullable=False),
    Column("due_on", Date, nullable=False),
    Column("amount_pence", Integer, nullable=False),
    Column("paid_pence", Integer, nullable=False),
)

# One row a turn in which a customer tried to show who they are. `at` is seconds since 1970 (UTC).
attempts = Table(
    "verification_attempts",
    metadata,
    Column("turn", String(80), primary_key=True),
    Column("order_number", String(16), nullable=False),
    Column("source", String(200)),
    Column("at", Float, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("method", String(16), nullable=False),
    Column("customer", String(16)),
    Index("attempts_by_order", "order_number", "at"),
    Index("attempts_by_source", "source", "at"),
    Index("attempts_by_time", "at"),
)

# What was shown in each attempt, as a hash: who knows one proof must not try it on every order number.
proofs = Table(
    "verification_proofs",
    metadata,
    Column("turn", String(80), primary_key=True),
    Column("proof", String(64), nullable=False),
    Column("at", Float, nullable=False),
    Column("outcome", String(16), nullable=False),
    Index("proofs_by_proof", "proof", "at"),
    Index("proofs_by_time", "at"),
)

facts = Table(
    "facts",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", String(200), nullable=False),
)
