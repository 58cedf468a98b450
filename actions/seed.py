"""Fills an empty account database with plausible customers, orders, parcels and invoices."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select

from actions import names, tables
from actions.directory import OrderState

SEED = 104233
CUSTOMERS = 300
ORDERS = 900
SEEDED = "seeded_on"

Row = dict[str, Any]

# How far the orders of a shop have come on an ordinary day.
_STATES = (
    (OrderState.PROCESSING, 12),
    (OrderState.PACKED, 6),
    (OrderState.SHIPPED, 22),
    (OrderState.OUT_FOR_DELIVERY, 8),
    (OrderState.DELIVERED, 42),
    (OrderState.CANCELLED, 5),
    (OrderState.RETURNED, 5),
)
_AGES = {  # days since the order was placed
    OrderState.PROCESSING: (0, 3),
    OrderState.PACKED: (1, 4),
    OrderState.SHIPPED: (2, 9),
    OrderState.OUT_FOR_DELIVERY: (3, 8),
    OrderState.DELIVERED: (5, 120),
    OrderState.CANCELLED: (1, 120),
    OrderState.RETURNED: (15, 120),
}
_TERMS = timedelta(days=14)
_HELD_UP = 0.2
_LATE_PAYERS = 0.08
_UNPAID_IN_TIME = 0.55


@dataclass
class Rows:
    """Rows to insert, one list a table."""

    customers: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    shipments: list[Row] = field(default_factory=list)
    invoices: list[Row] = field(default_factory=list)


def rows(today: date, seed: int = SEED) -> Rows:
    """The same people and orders for the same seed; only dates follow `today`."""
    dice = random.Random(seed)  # noqa: S311 - invented data, not secrets
    made = Rows()
    made.customers = list(_customers(dice, today))
    for number in dice.sample(range(100_000, 200_000), ORDERS):
        _order(dice, made, f"FY-{number}", dice.choice(made.customers)["id"], today)
    return made


def fill(connection: Connection, today: date) -> bool:
    """Fills the database unless that was done before, in the caller's transaction; True when it filled."""
    marked = connection.execute(select(tables.facts.c.value).where(tables.facts.c.name == SEEDED)).first()
    if marked is not None:
        return False
    made = rows(today)
    connection.execute(insert(tables.facts), [{"name": SEEDED, "value": today.isoformat()}])
    connection.execute(insert(tables.customers), made.customers)
    connection.execute(insert(tables.orders), made.orders)
    connection.execute(insert(tables.shipments), made.shipments)
    connection.execute(insert(tables.invoices), made.invoices)
    return True


def _customers(dice: random.Random, today: date) -> Iterator[Row]:
    taken: set[str] = set()
    for index in range(CUSTOMERS):
        first, last = dice.choice(names.FIRST), dice.choice(names.LAST)
        town, area = dice.choice(names.TOWNS)
        yield {
            "id": f"C-{10_001 + index}",
            "name": f"{first} {last}",
            "email": _email(dice, first, last, taken),
            "phone": f"+447700900{dice.randrange(1000):03d}",
            "street": f"{dice.randint(1, 180)} {dice.choice(names.STREETS)}",
            "town": town,
            "postcode": _postcode(dice, area),
            "since": today - timedelta(days=dice.randint(130, 2000)),
        }


def _email(dice: random.Random, first: str, last: str, taken: set[str]) -> str:
    plain = f"{first}.{last}".lower()
    host = dice.choice(("example.com", "example.org", "example.net"))
    email, count = f"{plain}@{host}", 1
    while email in taken:
        count += 1
        email = f"{plain}{count}@{host}"
    taken.add(email)
    return email


def _postcode(dice: random.Random, area: str) -> str:
    letters = "ABDEFGHJLNPQRSTUWXYZ"
    return f"{area}{dice.randint(1, 28)} {dice.randint(1, 9)}{dice.choice(letters)}{dice.choice(letters)}"


def _order(dice: random.Random, made: Rows, number: str, customer: str, today: date) -> None:
    state = dice.choices([state for state, _ in _STATES], [weight for _, weight in _STATES])[0]
    placed = today - timedelta(days=dice.randint(*_AGES[state]))
    goods = dice.sample(names.GOODS, dice.choices((1, 2, 3), (6, 3, 1))[0])
    total = sum(pence for _, pence in goods) + dice.choice((0, 395, 495))
    expected = _expected(dice, state, placed, today)
    made.orders.append(
        {
            "number": number,
            "customer": customer,
            "state": str(state),
            "placed_on": placed,
            "items": _joined([what for what, _ in goods]),
            "total_pence": total,
            "expected_on": expected,
        }
    )
    if state not in (OrderState.PROCESSING, OrderState.CANCELLED):
        made.shipments.append(_shipment(dice, number, state, placed, expected, today))
    if state != OrderState.CANCELLED:
        made.invoices.append(_invoice(dice, number, customer, state, placed, total, today))


def _expected(dice: random.Random, state: OrderState, placed: date, today: date) -> date | None:
    if state == OrderState.CANCELLED:
        return None
    if state == OrderState.OUT_FOR_DELIVERY:
        return today
    if state in (OrderState.DELIVERED, OrderState.RETURNED):
        return placed + timedelta(days=dice.randint(2, 5))
    return today + timedelta(days=dice.randint(1, 6))


def _shipment(
    dice: random.Random, number: str, state: OrderState, placed: date, expected: date | None, today: date
) -> Row:
    carrier, prefix = dice.choice(names.CARRIERS)
    sent = state != OrderState.PACKED
    delivered = state in (OrderState.DELIVERED, OrderState.RETURNED) and expected is not None
    held_up = state == OrderState.SHIPPED and dice.random() < _HELD_UP
    return {
        "order_number": number,
        "carrier": carrier,
        "tracking": f"{prefix}{dice.randrange(10**9):09d}GB",
        "state": "delayed"
        if held_up
        else "with_shop"
        if not sent
        else "delivered"
        if delivered
        else "in_transit",
        "sent_on": min(placed + timedelta(days=1), today) if sent else None,
        "delivered_on": expected if delivered else None,
        "trouble": dice.choice(names.TROUBLES) if held_up else None,
    }


def _invoice(
    dice: random.Random, number: str, customer: str, state: OrderState, placed: date, total: int, today: date
) -> Row:
    due = placed + _TERMS
    unpaid = dice.random() < (_LATE_PAYERS if due < today else _UNPAID_IN_TIME)
    return {
        "number": f"INV-{number.removeprefix('FY-')}",
        "customer": customer,
        "order_number": number,
        "issued_on": placed,
        "due_on": due,
        "amount_pence": 0 if state == OrderState.RETURNED else total,
        "paid_pence": 0 if unpaid or state == OrderState.RETURNED else total,
    }


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
