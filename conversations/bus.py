"""The bus of one process. Across processes, another implementation fills the same port."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

MAX_NOTES = 64
"""Notes kept for a slow listener; older ones are dropped, wake-ups never are."""

TURNS = "turns"
OUTBOX = "outbox"
TIMERS = "timers"
DESK = "desk"


def thread_topic(thread: str) -> str:
    """The topic of one customer's thread."""
    return f"thread:{thread}"


class LocalBus:
    """Publishes to the subscribers of this process. Use it from the event loop's thread only."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[LocalSubscription]] = {}

    def publish(self, topic: str, note: Mapping[str, Any] | None = None) -> None:
        for listener in self._listeners.get(topic, ()):
            listener.notify(note)

    def subscribe(self, *topics: str) -> LocalSubscription:
        subscription = LocalSubscription(self, topics)
        for topic in topics:
            self._listeners.setdefault(topic, set()).add(subscription)
        return subscription

    def forget(self, subscription: LocalSubscription, topics: tuple[str, ...]) -> None:
        for topic in topics:
            listeners = self._listeners.get(topic)
            if listeners is None:
                continue
            listeners.discard(subscription)
            if not listeners:
                del self._listeners[topic]


class LocalSubscription:
    """One listener; wake-ups that come while nobody waits are kept as one."""

    def __init__(self, bus: LocalBus, topics: tuple[str, ...]) -> None:
        self._bus = bus
        self._topics = topics
        self._woken = asyncio.Event()
        self._notes: deque[Mapping[str, Any]] = deque(maxlen=MAX_NOTES)

    def notify(self, note: Mapping[str, Any] | None) -> None:
        if note is not None:
            self._notes.append(note)
        self._woken.set()

    async def wait(self, timeout: float | None = None) -> list[Mapping[str, Any]]:
        try:
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        except TimeoutError:
            return []
        self._woken.clear()
        notes = list(self._notes)
        self._notes.clear()
        return notes

    def close(self) -> None:
        self._bus.forget(self, self._topics)
