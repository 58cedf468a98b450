"""The contract of AccountDirectory, on each database."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from actions.directory import Outcome
from actions.sql_directory import Limits, SqlDirectory
from tests.actions.conftest import today
from tests.actions.world import NOON, attempt, outcomes


@pytest.mark.parametrize(
    ("method", "spelling"),
    [
        ("email", str.upper),
        ("email", str),
        ("postcode", str.lower),
        ("postcode", lambda text: text.replace(" ", "")),
    ],
)
async def test_the_owner_is_verified_however_it_is_spelt(
    either_directory: SqlDirectory, method: str, spelling: type[str]
) -> None:
    known = (await either_directory.sample(1))[0]
    proof = spelling(known.email if method == "email" else known.postcode)

    found = await either_directory.verify(attempt(known, "t1", method=method, proof=proof))

    assert (found.outcome, found.name, found.method) == (Outcome.VERIFIED, known.name, method)
    assert found.customer
    assert await either_directory.verified_in_turn("t1") == found.customer


async def test_another_customers_proof_and_an_unknown_order_get_the_same_answer(
    either_directory: SqlDirectory,
) -> None:
    known, other = (await either_directory.sample(2))[:2]

    wrong = await either_directory.verify(attempt(known, "t1", proof=other.email))
    unknown = await either_directory.verify(attempt(known, "t2", order_number="FY-000001"))

    assert wrong == unknown
    assert wrong.outcome == Outcome.REFUSED
    assert await either_directory.verified_in_turn("t1") is None


async def test_orders_and_invoices_belong_to_their_customer(either_directory: SqlDirectory) -> None:
    known, other = (await either_directory.sample(2))[:2]
    mine = (await either_directory.verify(attempt(known, "t1"))).customer or ""

    order = await either_directory.order(mine, known.order_number)
    latest = await either_directory.latest_order(mine)
    bills = await either_directory.invoices(mine)

    assert order is not None
    assert (order.number, order.state) == (known.order_number, known.state)
    assert latest is not None
    assert latest.placed_on >= order.placed_on
    assert [bill.due_on for bill in bills] == sorted(bill.due_on for bill in bills)
    assert await either_directory.order(mine, other.order_number) is None
    assert await either_directory.latest_order("C-0") is None
    assert list(await either_directory.invoices("C-0")) == []


async def test_a_repeated_turn_counts_once_and_gets_the_first_answer(accounts_url: str) -> None:
    directory = SqlDirectory(accounts_url, Limits(per_order=2), today=today)
    known = (await directory.sample(1))[0]
    wrong = attempt(known, "t1", proof="nobody@example.com")

    repeated = await outcomes(directory, [wrong] * 5)
    right_words_too_late = await directory.verify(attempt(known, "t1"))
    next_turn = await directory.verify(attempt(known, "t2"))

    assert set(repeated) == {Outcome.REFUSED}
    assert right_words_too_late.outcome == Outcome.REFUSED
    assert next_turn.outcome == Outcome.VERIFIED
    assert await directory.verify(attempt(known, "t2")) == next_turn
    await directory.close()


async def test_the_same_turn_at_the_same_moment_counts_once(accounts_url: str) -> None:
    directory = SqlDirectory(accounts_url, Limits(per_order=2), today=today)
    known = (await directory.sample(1))[0]
    wrong = attempt(known, "t1", proof="nobody@example.com")

    found = await asyncio.gather(*(directory.verify(wrong) for _ in range(8)))

    assert {one.outcome for one in found} == {Outcome.REFUSED}
    assert (await directory.verify(attempt(known, "t2"))).outcome == Outcome.VERIFIED
    await directory.close()


async def test_attempts_at_one_order_are_limited_across_conversations_and_sources(accounts_url: str) -> None:
    directory = SqlDirectory(accounts_url, Limits(per_order=3, per_source=100, per_proof=100), today=today)
    known, other = (await directory.sample(2))[:2]
    wrong = [attempt(known, f"t{n}", proof="x@example.com", source=f"address-{n}") for n in range(4)]

    assert await outcomes(directory, wrong) == [Outcome.REFUSED] * 3 + [Outcome.BLOCKED]
    assert (await directory.verify(attempt(known, "t8", source="address-8"))).outcome == Outcome.BLOCKED
    assert (await directory.verify(attempt(other, "t9"))).outcome == Outcome.VERIFIED

    later = NOON + timedelta(hours=1, seconds=1)
    assert (await directory.verify(attempt(known, "t10", at=later))).outcome == Outcome.VERIFIED
    await directory.close()


async def test_attempts_from_one_source_are_limited_across_orders(accounts_url: str) -> None:
    directory = SqlDirectory(accounts_url, Limits(per_order=100, per_source=3, per_proof=100), today=today)
    known = (await directory.sample(1))[0]
    guesses = [attempt(known, f"t{n}", order_number=f"FY-00000{n}") for n in range(4)]

    assert await outcomes(directory, guesses) == [Outcome.REFUSED] * 3 + [Outcome.BLOCKED]
    assert (await directory.verify(attempt(known, "t5"))).outcome == Outcome.BLOCKED
    assert (await directory.verify(attempt(known, "t6", source="address-2"))).outcome == Outcome.VERIFIED
    assert (await directory.verify(attempt(known, "t7", source=None))).outcome == Outcome.VERIFIED
    await directory.close()


async def test_a_known_proof_cannot_be_tried_on_one_order_number_after_another(accounts_url: str) -> None:
    directory = SqlDirectory(accounts_url, Limits(per_proof=3), today=today)
    known, other = (await directory.sample(2))[:2]
    guesses = [
        attempt(known, f"t{n}", order_number=f"FY-00000{n}", source=f"new chat {n}", proof=spelt)
        for n, spelt in enumerate((known.email, known.email.upper(), f" {known.email}", known.email))
    ]

    assert await outcomes(directory, guesses) == [Outcome.REFUSED] * 3 + [Outcome.BLOCKED]
    assert (await directory.verify(attempt(known, "t5", source="new chat 5"))).outcome == Outcome.BLOCKED
    by_postcode = attempt(known, "t6", source="new chat 6", method="postcode", proof=known.postcode)
    assert (await directory.verify(by_postcode)).outcome == Outcome.VERIFIED
    assert (await directory.verify(attempt(other, "t7", source="new chat 7"))).outcome == Outcome.VERIFIED
    later = NOON + timedelta(hours=1, seconds=1)
    assert (await directory.verify(attempt(known, "t8", at=later))).outcome == Outcome.VERIFIED
    await directory.close()


async def test_attempts_at_the_same_moment_do_not_slip_past_the_limit(accounts_url: str) -> None:
    directory = SqlDirectory(accounts_url, Limits(per_order=3, per_source=100, per_proof=100), today=today)
    known = (await directory.sample(1))[0]
    wrong = [attempt(known, f"t{n}", proof="x@example.com", source=f"address-{n}") for n in range(10)]

    found = await asyncio.gather(*(directory.verify(one) for one in wrong))

    assert sum(one.outcome == Outcome.REFUSED for one in found) == 3
    await directory.close()


async def test_several_starts_at_once_fill_the_database_once(accounts_url: str) -> None:
    directories = [SqlDirectory(accounts_url, today=today) for _ in range(4)]

    await asyncio.gather(*(directory.prepare() for directory in directories))

    samples = [await directory.sample(1000) for directory in directories]
    assert all(sample == samples[0] for sample in samples)
    assert len(samples[0]) == 900
    for directory in directories:
        await directory.close()
