"""The sample accounts."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from sqlalchemy import create_engine, func, select

from actions import sample, seed, tables
from actions.directory import SampleCustomer
from actions.sql_directory import SqlDirectory
from tests.actions.conftest import today

TODAY = date(2026, 3, 2)


def test_the_same_seed_makes_the_same_accounts() -> None:
    assert seed.rows(TODAY) == seed.rows(TODAY)


def test_only_dates_follow_the_day() -> None:
    first, later = seed.rows(TODAY), seed.rows(TODAY + timedelta(days=40))

    assert [row["email"] for row in first.customers] == [row["email"] for row in later.customers]
    assert [(row["number"], row["state"]) for row in first.orders] == [
        (row["number"], row["state"]) for row in later.orders
    ]
    assert max(row["placed_on"] for row in later.orders) == TODAY + timedelta(days=40)


def test_the_accounts_are_plausible() -> None:
    made = seed.rows(TODAY)
    parcels = {row["order_number"]: row for row in made.shipments}

    assert (len(made.customers), len(made.orders)) == (300, 900)
    assert len({row["email"] for row in made.customers}) == 300
    assert len(Counter(row["state"] for row in made.orders)) == 7
    assert {row["email"].split("@")[1] for row in made.customers} <= {
        "example.com",
        "example.org",
        "example.net",
    }
    for order in made.orders:
        parcel = parcels.get(order["number"])
        assert order["placed_on"] <= TODAY
        assert (parcel is None) == (order["state"] in ("processing", "cancelled"))
        if parcel and parcel["delivered_on"]:
            assert order["placed_on"] <= parcel["sent_on"] <= parcel["delivered_on"] <= TODAY
    assert any(row["paid_pence"] < row["amount_pence"] and row["due_on"] < TODAY for row in made.invoices)


async def test_accounts_are_made_once_and_stay(sqlite_accounts: str) -> None:
    first = SqlDirectory(sqlite_accounts, today=today)
    await first.prepare()
    await first.close()
    second = SqlDirectory(sqlite_accounts, today=lambda: today() + timedelta(days=10))
    await second.prepare()
    await second.close()

    engine = create_engine(sqlite_accounts)
    with engine.connect() as connection:
        orders = connection.execute(select(func.count()).select_from(tables.orders)).scalar_one()
        newest = connection.execute(select(func.max(tables.orders.c.placed_on))).scalar_one()
        marked = connection.execute(select(tables.facts.c.value)).scalar_one()
    engine.dispose()
    assert (orders, newest, marked) == (900, today(), today().isoformat())


def test_the_sample_shows_orders_in_many_states(sqlite_accounts: str) -> None:
    found = sample.sample(sqlite_accounts, 7)

    assert len({one.state for one in found}) == 7
    assert found == sample.sample(sqlite_accounts, 7)
    assert all(isinstance(one, SampleCustomer) for one in found)
    assert sample.table(found).row_count == 7
