"""The answers: their words, and what they do when the account system does not answer."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from actions.account_actions import bill_words, day, delivery_words, money, status_words
from actions.directory import Invoice, Order, OrderState, SampleCustomer, Shipment
from actions.sql_directory import SqlDirectory
from tests.actions.world import IMPATIENT, Broken, Conversation, Silent

TODAY = date(2026, 3, 2)
ROOT = Path(__file__).parents[2]
PARCEL = Shipment("Royal Mail", "RM1GB", TODAY - timedelta(days=1), None)
ORDER = Order(
    "FY-104233",
    OrderState.SHIPPED,
    TODAY - timedelta(days=3),
    "a kettle",
    3499,
    TODAY + timedelta(days=2),
    None,
    PARCEL,
)
BILL = Invoice("INV-104233", "FY-104233", TODAY - timedelta(days=3), TODAY + timedelta(days=11), 3499, 0)


async def verified(directory: SqlDirectory, known: SampleCustomer) -> Conversation:
    customer = Conversation(directory)
    await customer.says(f"{known.order_number} {known.email}")
    assert customer.verification["level"] == "order"
    return customer


@pytest.mark.parametrize("index", range(7))
async def test_the_answer_is_what_the_database_says(directory: SqlDirectory, index: int) -> None:
    known = (await directory.sample(7))[index]
    customer = await verified(directory, known)

    heard = await customer.asks("order_status")

    assert heard.words[0]["number"] == known.order_number
    assert heard.lookups[0]["result"]["state"] == known.state
    assert heard.lookups[0]["ok"]
    assert (await customer.asks("delivery_date")).responses[0].startswith("say_delivery_")
    assert (await customer.asks("bill")).responses[0].startswith("say_bill_")


async def test_in_the_turn_that_verified_the_answer_follows(
    directory: SqlDirectory, known: SampleCustomer
) -> None:
    customer = Conversation(directory)
    await customer.says(f"{known.order_number} {known.email}", turn="t1")
    customer.verification = {"level": "none"}  # the front door has not committed the turn yet

    assert (await customer.asks("order_status", turn="t1")).words[0]["number"] == known.order_number


@pytest.mark.parametrize("action", ["order_status", "delivery_date", "bill"])
async def test_nothing_is_told_without_verification(
    directory: SqlDirectory, known: SampleCustomer, action: str
) -> None:
    customer = Conversation(directory, slots={"order_number": known.order_number, "wanted": "order_status"})

    heard = await customer.asks(action)

    assert heard.responses == ["say_not_verified"]
    assert heard.lookups == []


async def test_somebody_elses_order_and_no_order_sound_alike(directory: SqlDirectory) -> None:
    known, other = (await directory.sample(2))[:2]
    customer = await verified(directory, known)

    heard = []
    for number in (other.order_number, "FY-000001"):
        customer.slots["order_number"] = number
        answer = await customer.asks("order_status")
        heard.append((answer.responses, answer.lookups[0]["ok"], answer.lookups[0]["result"]))
        assert customer.slots["order_number"] is None

    assert heard == [(["say_order_not_on_account"], True, None)] * 2


async def test_without_a_number_the_latest_order_is_meant(
    directory: SqlDirectory, known: SampleCustomer
) -> None:
    customer = await verified(directory, known)
    customer.slots["order_number"] = None
    latest = await directory.latest_order(customer.verification["customer"])

    heard = await customer.asks("order_status")

    assert latest is not None
    assert heard.words[0]["number"] == customer.slots["order_number"] == latest.number


async def test_empty_results_have_their_own_words(directory: SqlDirectory) -> None:
    customer = Conversation(directory, verification={"level": "order", "customer": "C-0"})

    assert (await customer.asks("order_status")).responses == ["say_no_orders"]
    heard = await customer.asks("bill")
    assert (heard.responses, heard.lookups[0]["result"]) == (["say_bill_none"], None)


@pytest.mark.parametrize("action", ["order_status", "delivery_date", "bill"])
async def test_time_outs_and_errors_have_their_own_words(
    directory: SqlDirectory, known: SampleCustomer, action: str
) -> None:
    customer = await verified(directory, known)
    customer.patience = IMPATIENT

    customer.directory = Silent(directory)
    silent = await customer.asks(action)
    customer.directory = Broken(directory)
    broken = await customer.asks(action)

    assert silent.responses == ["say_handoff_lookup_timeout"]
    assert broken.responses == ["say_handoff_lookup_error"]
    assert [one["error"] for one in silent.lookups + broken.lookups] == ["timeout"] * 2 + ["error"] * 2


async def test_a_locked_database_stops_verification_but_not_answers(
    directory: SqlDirectory, known: SampleCustomer, tmp_path: Path
) -> None:
    customer = await verified(directory, known)
    holder = sqlite3.connect(tmp_path / "accounts.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")

    newcomer = await Conversation(directory, sender_id="two").says(f"{known.order_number} {known.email}")
    answer = await customer.asks("order_status")
    holder.execute("ROLLBACK")
    holder.close()
    afterwards = await Conversation(directory, sender_id="three").says(f"{known.order_number} {known.email}")

    assert newcomer.responses == ["say_handoff_lookup_error"]
    assert answer.words[0]["number"] == known.order_number
    assert afterwards.effects[0]["level"] == "order"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": OrderState.PROCESSING, "shipment": None}, "say_order_processing"),
        ({"state": OrderState.PACKED}, "say_order_packed"),
        ({}, "say_order_shipped"),
        ({"shipment": replace(PARCEL, trouble="snow")}, "say_order_delayed"),
        ({"state": OrderState.OUT_FOR_DELIVERY, "expected_on": TODAY}, "say_order_out_for_delivery"),
        (
            {"state": OrderState.OUT_FOR_DELIVERY, "expected_on": TODAY - timedelta(days=2)},
            "say_order_out_since",
        ),
        ({"state": OrderState.DELIVERED, "delivered_on": TODAY}, "say_order_delivered"),
        ({"state": OrderState.CANCELLED, "shipment": None}, "say_order_cancelled"),
        ({"state": OrderState.RETURNED}, "say_order_returned"),
    ],
)
def test_words_for_every_state(changes: dict[str, object], words: str) -> None:
    said = status_words(replace(ORDER, **changes), TODAY)  # type: ignore[arg-type]
    assert said.response == words
    assert_no_gap_is_left(words, said.gaps)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "say_delivery_expected"),
        ({"expected_on": TODAY}, "say_delivery_today"),
        ({"expected_on": TODAY - timedelta(days=1)}, "say_delivery_late"),
        ({"shipment": replace(PARCEL, trouble="snow")}, "say_delivery_delayed"),
        ({"state": OrderState.PROCESSING, "shipment": None}, "say_delivery_planned"),
        (
            {"state": OrderState.PACKED, "expected_on": TODAY - timedelta(days=1)},
            "say_delivery_overdue_unsent",
        ),
        ({"expected_on": None}, "say_delivery_unknown"),
        ({"state": OrderState.DELIVERED, "delivered_on": TODAY}, "say_delivery_done"),
        ({"state": OrderState.CANCELLED, "shipment": None}, "say_delivery_none"),
        ({"state": OrderState.RETURNED}, "say_delivery_none"),
    ],
)
def test_words_for_every_delivery(changes: dict[str, object], words: str) -> None:
    said = delivery_words(replace(ORDER, **changes), TODAY)  # type: ignore[arg-type]
    assert said.response == words
    assert_no_gap_is_left(words, said.gaps)


@pytest.mark.parametrize(
    ("invoices", "words"),
    [
        ([], "say_bill_none"),
        ([replace(BILL, paid_pence=3499)], "say_bill_nothing_due"),
        ([BILL], "say_bill_due"),
        ([replace(BILL, due_on=TODAY - timedelta(days=1))], "say_bill_overdue"),
        ([BILL, replace(BILL, number="INV-2", paid_pence=99)], "say_bill_several"),
    ],
)
def test_words_for_every_bill(invoices: list[Invoice], words: str) -> None:
    said = bill_words(invoices, TODAY)
    assert said.response == words
    assert_no_gap_is_left(words, said.gaps)
    if words == "say_bill_several":
        assert said.gaps["total"] == "£68.99"


def test_dates_and_amounts_read_well() -> None:
    assert day(date(2026, 3, 4), TODAY) == "Wednesday 4 March"
    assert day(date(2025, 12, 31), TODAY) == "Wednesday 31 December 2025"
    assert money(123_405) == "£1,234.05"


def assert_no_gap_is_left(response: str, gaps: dict[str, str]) -> None:
    for variation in domain_responses()[response]:
        variation["text"].format(**gaps)


def domain_responses() -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for path in (ROOT / "domain").glob("*.yml"):
        found |= YAML(typ="safe").load(path.read_text(encoding="utf-8")).get("responses") or {}
    return found
