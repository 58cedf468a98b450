"""Plain, synchronous jobs in transactions: `await store.write(job)`, where `job(tx)` is the same over both databases."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from ..ports import Bus
from . import tables

T = TypeVar("T")
Job = Callable[["Transaction"], T]

DESK_COUNTER = "desk"


@dataclass(slots=True)
class DeskEvent:
    """What the desk hears when the transaction commits: supervisors, and the agent, or (without one) the queue's agents,
    or (without both) everybody. A callable body is made under the lock of the events' counter, where everything that
    earlier events tell of is visible: so what it counts is right for its number."""

    type: str
    body: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    queue: str | None = None
    agent: str | None = None


@dataclass(slots=True)
class Transaction:
    """One unit of work. `now` is the database's clock when it began, in milliseconds since 1970."""

    conn: sa.Connection
    now: int
    wakes: dict[str, None] = field(default_factory=dict)
    events: list[DeskEvent] = field(default_factory=list)

    def wake(self, topic: str) -> None:
        """Publishes the topic on the bus once this transaction has committed."""
        self.wakes[topic] = None

    def emit(self, event: DeskEvent) -> None:
        """Adds a numbered desk event; numbers are given in commit order."""
        self.events.append(event)

    def flush_events(self) -> None:
        """Numbers and stores the events. The counter's row is the last lock taken, so numbers follow commits."""
        if not self.events:
            return
        counters = tables.counters
        last: int = self.conn.execute(
            sa.update(counters)
            .where(counters.c.name == DESK_COUNTER)
            .values(value=counters.c.value + len(self.events))
            .returning(counters.c.value)
        ).scalar_one()
        first = last - len(self.events) + 1
        rows = [
            {
                "event": first + i,
                "type": e.type,
                "at": self.now,
                "queue": e.queue,
                "agent_id": e.agent,
                "body": dict(e.body() if callable(e.body) else e.body),
            }
            for i, e in enumerate(self.events)
        ]
        self.conn.execute(sa.insert(tables.desk_events), rows)
        self.wake("desk")


class Store(Protocol):
    """Where the truth is kept. Jobs may be run more than once: they act on the transaction only."""

    bus: Bus
    dialect: str

    async def write(self, job: Job[T]) -> T:
        """Runs the job and commits; an exception of the job rolls it back and comes out here.

        Raises:
            StoreUnavailable: the database refused; nothing was stored.
        """
        ...

    async def read(self, job: Job[T]) -> T:
        """Runs a job that only reads, on one snapshot.

        Raises:
            StoreUnavailable: the database refused.
        """
        ...

    async def close(self) -> None: ...


Clock = Callable[[], int]


def system_clock() -> int:
    return time.time_ns() // 1_000_000


def brief(error: BaseException) -> str:
    """The driver's words without statement and parameters, which hold what customers wrote."""
    original = getattr(error, "orig", None) or error
    if isinstance(original, sqlite3.Error):
        return str(original)
    return type(original).__name__
