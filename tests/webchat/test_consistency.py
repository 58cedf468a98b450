"""Snapshot plus frames: whoever follows a socket, with whatever interruptions, ends where a fresh look would."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.webchat.world import Customer, Frame, House


@dataclass
class Screen:
    """What a client shows that does nothing but apply frames, and drops messages that it has."""

    messages: list[Frame] = field(default_factory=list)
    conversation: str | None = None
    control: str = "closed"
    name: str | None = None
    position: int | None = None

    @property
    def last_seq(self) -> int:
        return int(self.messages[-1]["seq"]) if self.messages else 0

    def apply(self, frame: Frame) -> None:
        match frame["type"]:
            case "welcome":
                self.conversation = frame["conversation"]
                self._control(frame)
            case "message" if frame["seq"] > self.last_seq:
                self.messages.append({name: value for name, value in frame.items() if name != "type"})
            case "conversation":
                assert frame["after_seq"] == self.last_seq
                self.conversation = frame["conversation"]
            case "control":
                self._control(frame)
            case "queue":
                self.position = frame["position"]

    def _control(self, frame: Frame) -> None:
        self.control, self.name, self.position = frame["control"], frame.get("name"), None
        if self.control == "closed":
            self.conversation = None


async def follow(customer: Customer, screen: Screen) -> None:
    """Applies all that was sent until now."""
    for frame in await customer.everything():
        screen.apply(frame)


async def reconnect(customer: Customer, screen: Screen) -> None:
    await customer.hangs_up()
    customer.heard.clear()
    screen.apply(await customer.connects(screen.last_seq))


async def settle(house: House, customer: Customer, screen: Screen) -> None:
    """Until a fresh look shows what the screen shows. Raises TimeoutError when they never agree."""
    fresh = Customer(house, customer.opened)
    async with asyncio.timeout(20):
        while not await agrees(fresh, customer, screen):
            pass


async def agrees(fresh: Customer, customer: Customer, screen: Screen) -> bool:
    await follow(customer, screen)
    shown = Screen()
    shown.apply(await fresh.connects(0))
    await follow(fresh, shown)
    await fresh.hangs_up()
    return screen == shown


def steps(house: House, customer: Customer, screen: Screen, dice: random.Random) -> dict[str, Any]:
    """What may happen next, given what the thread is like."""

    async def talk() -> None:
        await customer.writes(dice.choice(("hi", "a human please", "where is my order")))

    found: dict[str, Any] = {"talk": talk, "works": house.works, "drop": lambda: reconnect(customer, screen)}
    found["cancel"] = lambda: customer.sends(type="cancel_queue")
    found["end"] = lambda: customer.sends(type="end")
    agents = {
        "queue": {"accept": lambda: house.accepts(customer, dice.choice(("Ada", "Bob")))},
        "agent": {
            "say": lambda: house.agent_says(customer, "how can I help?"),
            "return": lambda: house.returns(customer),
            "resolve": lambda: house.resolves(customer),
        },
    }
    return found | agents.get(screen.control, {})


@pytest.mark.parametrize("seed", range(12))
async def test_frames_lead_where_a_fresh_look_leads(house: House, seed: int) -> None:
    dice = random.Random(seed)
    customer, screen = await house.customer(), Screen()
    screen.apply(customer.welcome)
    for _ in range(40):
        await settle(house, customer, screen) if dice.random() < 0.5 else await asyncio.sleep(0)
        possible = steps(house, customer, screen, dice)
        if screen.control in ("queue", "agent"):
            await settle(house, customer, screen)
            possible = steps(house, customer, screen, dice)
        await possible[dice.choice(sorted(possible))]()
    await settle(house, customer, screen)
    assert [message["seq"] for message in screen.messages] == list(range(1, screen.last_seq + 1))
