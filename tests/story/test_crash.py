"""kill -9 at random points while customers talk: every acknowledged message has one fate, every reply one place."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.story import clients
from tests.story.clients import Customer
from tests.story.installation import Installation

Start = Callable[..., Awaitable[Installation]]

CUSTOMERS = 20
# Killing the front door is cheap and is where most can go wrong.
VICTIMS = ("front door", "actions", "assistant", *("front door",) * 7)
WORDS = (
    "hello",
    "where is my order?",
    "thanks",
    "are you a bot?",
    "what can you do?",
    "when will it arrive?",
    "bye",
)


@pytest.mark.timeout(1800)
async def test_kill_9_at_random_points_loses_nothing_and_says_nothing_twice(
    start: Start, request: pytest.FixtureRequest
) -> None:
    kills: int = request.config.getoption("--kills")
    seed: int = request.config.getoption("--kill-seed")
    chance = random.Random(seed)
    installation = await start(FOYER_ASSISTANT_PATIENCE="60")
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        customers = [
            await stack.enter_async_context(clients.customer(installation.url, installation.app_key))
            for _ in range(CUSTOMERS)
        ]
        talk = [
            asyncio.create_task(_talks(c, stop, random.Random(seed + i))) for i, c in enumerate(customers)
        ]
        killed = await _kill(installation, kills, chance)
        stop.set()
        said = await asyncio.gather(*talk)
        await installation.ready()
        await _all_is_quiet(installation)
        await asyncio.gather(*(_has_heard_all(c, installation) for c in customers))
        print(f"kills {dict(killed)}, messages {sum(map(len, said))}, seed {seed}")
        for customer, texts in zip(customers, said, strict=True):
            _nothing_lost_nothing_twice(installation, customer, texts)


async def _talks(customer: Customer, stop: asyncio.Event, chance: random.Random) -> dict[int, str]:
    said: dict[int, str] = {}
    while not stop.is_set():
        text = f"{chance.choice(WORDS)} {len(said)}"
        said[await customer.says(text)] = text
        await asyncio.sleep(chance.uniform(0, 0.4))
    return said


async def _kill(installation: Installation, kills: int, chance: random.Random) -> Counter[str]:
    """Kills one child after another, each only when it has come up again since its last death."""
    killed: Counter[str] = Counter()
    victims = [VICTIMS[i % len(VICTIMS)] for i in range(kills)]
    chance.shuffle(victims)
    for victim in victims:
        await installation.ready()
        await asyncio.sleep(chance.uniform(0.1, 1.0))
        if installation.kill(victim) is not None:
            killed[victim] += 1
        await asyncio.sleep(0.2)
    assert sum(killed.values()) == kills
    return killed


async def _all_is_quiet(installation: Installation) -> None:
    """Until no conversation is due: all that was accepted has been worked off."""
    async with asyncio.timeout(120):
        busy = "SELECT 1 FROM conversations WHERE due_at IS NOT NULL LIMIT 1"
        while _query(installation, busy):  # noqa: ASYNC110 - the other side is another process
            await asyncio.sleep(0.2)


async def _has_heard_all(customer: Customer, installation: Installation) -> None:
    (last,) = _query(installation, "SELECT last_seq FROM threads WHERE id = ?", customer.thread)[0]
    await customer.until(lambda: len(customer.messages) >= last, f"message {last}")


def _nothing_lost_nothing_twice(installation: Installation, customer: Customer, said: dict[int, str]) -> None:
    stored = _query(
        installation,
        "SELECT seq, author_kind, json_extract(content, '$.text'), turn_id, conversation_id FROM messages"
        " WHERE thread_id = ? AND seq IS NOT NULL ORDER BY seq",
        customer.thread,
    )
    assert [row[0] for row in stored] == list(range(1, len(stored) + 1))
    mine = {seq: text for seq, kind, text, _, _ in stored if kind == "customer"}
    assert mine == said
    assert sorted(customer.messages) == [row[0] for row in stored]
    turns = _query(
        installation,
        "SELECT t.input_seq, t.status, t.id FROM turns t JOIN conversations c ON c.id = t.conversation_id"
        " WHERE c.thread_id = ?",
        customer.thread,
    )
    fates = {seq: status for seq, status, _ in turns}
    replied = {row[3] for row in stored if row[1] == "assistant"}
    handed_over = {row[0] for row in _query(installation, "SELECT conversation_id FROM handoffs")}
    for seq, kind, _, _, conversation in stored:
        if kind == "customer":
            assert fates.get(seq) == "committed" or conversation in handed_over, (seq, fates.get(seq))
    assert replied <= {turn for _, status, turn in turns if status == "committed"}
    # A turn's replies stand together: nothing of it was said again later.
    order = [row[3] for row in stored if row[1] == "assistant"]
    runs = [turn for i, turn in enumerate(order) if i == 0 or order[i - 1] != turn]
    assert len(runs) == len(set(runs))


def _query(installation: Installation, query: str, *values: object) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{installation.database}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()
