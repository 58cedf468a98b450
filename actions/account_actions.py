"""The answers: where an order is, when it comes, what is owed. Nothing is told to who is not verified."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

from actions import reading
from actions.directory import AccountDirectory, Invoice, Order, OrderState
from actions.lookups import LookupFailed, Lookups, Patience
from actions.turn import Dispatcher, Json, Tracker, Turn, set_slot

T = TypeVar("T")


@dataclass(frozen=True)
class Words:
    """A response of the domain and what fills its gaps."""

    response: str
    gaps: dict[str, str]


class NotVerified(Exception):
    """Nobody has shown who they are in this conversation."""


@dataclass(frozen=True)
class AccountActions:
    """`action_order_status`, `action_delivery_date` and `action_bill` over one directory."""

    directory: AccountDirectory
    patience: Patience = field(default_factory=Patience)

    async def order_status(self, dispatcher: Dispatcher, tracker: Tracker, domain: Any) -> list[Json]:
        """Says how far the order has come."""
        return await self._tell_of_order("action_order_status", status_words, dispatcher, tracker)

    async def delivery_date(self, dispatcher: Dispatcher, tracker: Tracker, domain: Any) -> list[Json]:
        """Says when the order arrives, or arrived."""
        return await self._tell_of_order("action_delivery_date", delivery_words, dispatcher, tracker)

    async def bill(self, dispatcher: Dispatcher, tracker: Tracker, domain: Any) -> list[Json]:
        """Says what the customer owes on all orders."""
        turn = Turn.of(tracker)

        async def look(customer: str) -> Sequence[Invoice]:
            return await self.directory.invoices(customer)

        found = await self._look(
            dispatcher, turn, Lookups("action_bill", self.patience), {}, look, shown_bill
        )
        if found is not None:
            _say(dispatcher, bill_words(found, turn.now.date()))
        return []

    async def _tell_of_order(
        self, action: str, words: Callable[[Order, date], Words], dispatcher: Dispatcher, tracker: Tracker
    ) -> list[Json]:
        turn = Turn.of(tracker)
        number = reading.order_number(str(tracker.slots.get("order_number") or ""), expected=True)
        missing: list[bool] = []

        async def look(customer: str) -> Order | None:
            found = (
                await self.directory.order(customer, number)
                if number
                else await self.directory.latest_order(customer)
            )
            missing[:] = [found is None]
            return found

        asked = {"order_number": number} if number else {}
        order = await self._look(dispatcher, turn, Lookups(action, self.patience), asked, look, shown_order)
        if order is not None:
            _say(dispatcher, words(order, turn.now.date()))
            return [set_slot("order_number", order.number)]
        if missing == [True]:
            _say(
                dispatcher,
                Words("say_order_not_on_account", {"number": number})
                if number
                else Words("say_no_orders", {}),
            )
            return [set_slot("order_number", None)]
        return []

    async def _look(
        self,
        dispatcher: Dispatcher,
        turn: Turn,
        lookups: Lookups,
        asked: Json,
        look: Callable[[str], Awaitable[T]],
        shown: Callable[[T], object],
    ) -> T | None:
        """The answer; None when there was none, after saying why."""

        noted: Json = {**asked, "customer": turn.customer}

        async def of_customer() -> T:
            customer = turn.customer or await self.directory.verified_in_turn(turn.id)
            if customer is None:
                raise NotVerified
            noted["customer"] = customer
            return await look(customer)

        try:
            return await lookups.ask(noted, of_customer, shown)
        except NotVerified:
            dispatcher.utter_message(response="say_not_verified")
        except LookupFailed as failure:
            dispatcher.utter_message(response=f"say_handoff_lookup_{failure.problem}")
        finally:
            lookups.tell(dispatcher)
        return None


def status_words(order: Order, today: date) -> Words:
    """The words for the state of an order."""
    gaps = _gaps(order)
    if order.state == OrderState.SHIPPED and order.shipment and order.shipment.trouble:
        return Words("say_order_delayed", gaps)
    if order.state == OrderState.OUT_FOR_DELIVERY and order.expected_on and order.expected_on < today:
        return Words("say_order_out_since", {**gaps, "date": day(order.expected_on, today)})
    if order.delivered_on:
        gaps["date"] = day(order.delivered_on, today)
    if order.shipment and order.shipment.sent_on:
        gaps["sent"] = day(order.shipment.sent_on, today)
    return Words(f"say_order_{order.state}", gaps)


def delivery_words(order: Order, today: date) -> Words:
    """The words for the delivery date of an order."""
    gaps = _gaps(order)
    if order.state in (OrderState.CANCELLED, OrderState.RETURNED):
        return Words("say_delivery_none", {**gaps, "state": str(order.state)})
    if order.state == OrderState.DELIVERED and order.delivered_on:
        return Words("say_delivery_done", {**gaps, "date": day(order.delivered_on, today)})
    if order.expected_on is None:
        return Words("say_delivery_unknown", gaps)
    gaps["date"] = day(order.expected_on, today)
    if order.state in (OrderState.PROCESSING, OrderState.PACKED):
        return Words(
            "say_delivery_overdue_unsent" if order.expected_on < today else "say_delivery_planned", gaps
        )
    if order.expected_on < today:
        return Words("say_delivery_late", {"trouble": "I don't know why yet", **gaps})
    if order.expected_on == today:
        return Words("say_delivery_today", gaps)
    return Words("say_delivery_delayed" if "trouble" in gaps else "say_delivery_expected", gaps)


def bill_words(invoices: Sequence[Invoice], today: date) -> Words:
    """The words for what is owed on these invoices."""
    owed = [invoice for invoice in invoices if invoice.owed_pence]
    if not owed:
        return Words("say_bill_nothing_due" if invoices else "say_bill_none", {})
    total = money(sum(invoice.owed_pence for invoice in owed))
    if len(owed) > 1:
        return Words(
            "say_bill_several", {"total": total, "lines": "\n".join(_line(one, today) for one in owed)}
        )
    one = owed[0]
    gaps = {"total": total, "invoice": one.number, "order": one.order, "due": day(one.due_on, today)}
    return Words("say_bill_overdue" if one.due_on < today else "say_bill_due", gaps)


def shown_order(order: Order | None) -> Json | None:
    """What an agent sees of the look-up."""
    if order is None:
        return None
    parcel = order.shipment
    return {
        "order_number": order.number,
        "state": str(order.state),
        "items": order.items,
        "placed_on": order.placed_on.isoformat(),
        "expected_on": order.expected_on.isoformat() if order.expected_on else None,
        "delivered_on": order.delivered_on.isoformat() if order.delivered_on else None,
        "carrier": parcel.carrier if parcel else None,
        "tracking": parcel.tracking if parcel else None,
        "trouble": parcel.trouble if parcel else None,
    }


def shown_bill(invoices: Sequence[Invoice]) -> Json | None:
    """What an agent sees of the look-up: the total and the unpaid invoices."""
    if not invoices:
        return None
    unpaid = [
        {
            "invoice": one.number,
            "order_number": one.order,
            "owed_pence": one.owed_pence,
            "due_on": one.due_on.isoformat(),
        }
        for one in invoices
        if one.owed_pence
    ]
    return {"currency": "GBP", "owed_pence": sum(one.owed_pence for one in invoices), "unpaid": unpaid}


def day(when: date, today: date) -> str:
    """`Tuesday 25 November`, with the year when it is not this one."""
    return f"{when:%A} {when.day} {when:%B}" + (f" {when.year}" if when.year != today.year else "")


def money(pence: int) -> str:
    """`£1,234.50`."""
    return f"£{pence // 100:,}.{pence % 100:02d}"


def _line(invoice: Invoice, today: date) -> str:
    due = "was due" if invoice.due_on < today else "due"
    return f"{invoice.number} (order {invoice.order}): {money(invoice.owed_pence)}, {due} {day(invoice.due_on, today)}"


def _gaps(order: Order) -> dict[str, str]:
    gaps = {"number": order.number, "items": order.items, "carrier": "the carrier", "sent": "an earlier day"}
    parcel = order.shipment
    if parcel:
        gaps |= {"carrier": parcel.carrier, "tracking": parcel.tracking}
        gaps |= {"trouble": parcel.trouble} if parcel.trouble else {}
    return gaps


def _say(dispatcher: Dispatcher, words: Words) -> None:
    dispatcher.utter_message(response=words.response, **words.gaps)
