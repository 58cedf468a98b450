"""A shortened dialogue state predicts what the whole history predicts, however a customer behaves."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bot.loaded import LoadedModel
from bot.tests.garage_desk import load, say, understood
from bot.tests.hostile import Customer

MAX_TURNS = 60
# Far above what conversations reach (about 5 kB at the 99th percentile), far below what a growing one would.
MAX_BYTES = 24_000


@pytest.fixture(scope="module")
def loaded(model: Path) -> LoadedModel:
    return load(model)


class Comparison:
    """Holds one conversation twice: with its whole history, and with nothing but the state between turns."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.whole: Any = None
        self.state: dict[str, Any] | None = None
        self.replies: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.sizes: list[int] = []
        self.kinds: Counter[str] = Counter()

    async def hear(self, text: str, parsed: dict[str, Any]) -> None:
        """Run a message both ways. Raises AssertionError at the first difference."""
        number = len(self.said)
        self.said.append(f"{parsed['intent']['name']}: {text}")
        short = self.loaded.codec.read(self.state, "c").tracker if self.state else None
        self.whole, self.replies, expected = await say(self.loaded, self.whole, text, parsed, number)
        short, replies, happened = await say(self.loaded, short, text, parsed, number)
        assert (replies, happened) == (self.replies, expected), self.said
        assert short.current_slot_values() == self.whole.current_slot_values(), self.said
        written = self.loaded.codec.write(short)
        assert written.exact
        self.kinds[written.kind] += 1
        text_form = json.dumps(written.state)
        self.sizes.append(len(text_form))
        self.state = json.loads(text_form)


async def _converse(loaded: LoadedModel, seed: int, turns: int) -> Comparison:
    customer, comparison = Customer(seed), Comparison(loaded)
    for _ in range(turns):
        await comparison.hear(*customer.next(comparison.whole, comparison.replies))
    return comparison


def test_a_form_among_many_interruptions(loaded: LoadedModel) -> None:
    """Customers who stay in a form and talk of other things, then end it in every way."""

    async def stubborn(seed: int) -> Comparison:
        comparison, chance = Comparison(loaded), random.Random(seed)
        for intent in (
            ("cancel_booking", "no", "grumble", "yes") if seed % 2 else ("opening_hours", "book_service")
        ):
            await comparison.hear(intent, understood(intent, intent))
        other = [
            "price",
            "opening_hours",
            "are_you_a_bot",
            "thanks",
            "car_ready",
            "nlu_fallback",
            "tell_more",
            "no",
        ]
        for _ in range(40):
            intent = chance.choice(other)
            await comparison.hear(intent, understood(intent, intent))
        customer = Customer(seed)
        for _ in range(25):
            await comparison.hear(*customer.next(comparison.whole, comparison.replies))
        return comparison

    kinds: Counter[str] = Counter()
    for seed in range(6):
        kinds += asyncio.run(stubborn(seed)).kinds
    assert kinds["loop"]


@pytest.mark.timeout(3600)
def test_hostile_conversations(loaded: LoadedModel, request: pytest.FixtureRequest, capsys: Any) -> None:
    wanted, seed = request.config.getoption("--turns"), request.config.getoption("--seed")
    sizes: list[int] = []
    kinds: Counter[str] = Counter()
    while len(sizes) < wanted:
        comparison = asyncio.run(_converse(loaded, seed, 1 + seed * 17 % MAX_TURNS))
        sizes += comparison.sizes
        kinds += comparison.kinds
        seed += 1
    sizes.sort()
    with capsys.disabled():
        print(f"\n{len(sizes)} turns: median {sizes[len(sizes) // 2]} B, p99 {sizes[int(len(sizes) * 0.99)]} B, "
              f"most {sizes[-1]} B, {dict(kinds)}")  # fmt: skip
    assert sizes[-1] < MAX_BYTES
