"""The port to whatever system knows customers, orders and invoices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, Protocol

Method = Literal["email", "postcode"]


class OrderState(StrEnum):
    """How far an order has come."""

    PROCESSING = "processing"
    PACKED = "packed"
    SHIPPED = "shipped"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class Outcome(StrEnum):
    """What came of a verification attempt."""

    VERIFIED = "verified"
    REFUSED = "refused"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Attempt:
    """A customer's attempt to show who they are. `turn` makes it count once; `source` is opaque, or None if unknown."""

    turn: str
    order_number: str
    method: Method
    proof: str
    source: str | None
    at: datetime


@dataclass(frozen=True)
class Verification:
    """The outcome of an attempt; `customer` and `name` are set when it is `verified`."""

    outcome: Outcome
    method: Method
    customer: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Shipment:
    """A parcel with a carrier. `trouble` says in a few words why it is held up, if it is."""

    carrier: str
    tracking: str
    sent_on: date | None
    trouble: str | None


@dataclass(frozen=True)
class Order:
    """An order with its parcel. `delivered_on` is set once it is delivered; amounts are pence."""

    number: str
    state: OrderState
    placed_on: date
    items: str
    total_pence: int
    expected_on: date | None
    delivered_on: date | None
    shipment: Shipment | None


@dataclass(frozen=True)
class Invoice:
    """An invoice; amounts are pence."""

    number: str
    order: str
    issued_on: date
    due_on: date
    amount_pence: int
    paid_pence: int

    @property
    def owed_pence(self) -> int:
        """What is left to pay, never below 0."""
        return max(0, self.amount_pence - self.paid_pence)


@dataclass(frozen=True)
class SampleCustomer:
    """A customer to play with: what a local installation shows so that someone can try it."""

    name: str
    email: str
    postcode: str
    order_number: str
    state: OrderState


class DirectoryError(Exception):
    """The account system answered with an error. The message holds no customer data."""


class AccountDirectory(Protocol):
    """Account look-ups. All raise DirectoryError when the system fails; callers set the time limit."""

    async def verify(self, attempt: Attempt) -> Verification:
        """Compares order number and proof, within the limits on failures; the same turn always gets the same answer."""
        ...

    async def verified_in_turn(self, turn: str) -> str | None:
        """The customer that an attempt in this turn verified."""
        ...

    async def order(self, customer: str, number: str) -> Order | None:
        """One order of this customer; None when they have none of that number."""
        ...

    async def latest_order(self, customer: str) -> Order | None:
        """The customer's newest order."""
        ...

    async def invoices(self, customer: str) -> Sequence[Invoice]:
        """All invoices of this customer, oldest first."""
        ...
