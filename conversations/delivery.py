"""The delivery worker: sends the outbox, in order within a thread, in parallel between threads.

Sent, rejected, expired and ambiguous are final for the order: the thread's next message goes on. Refused credentials and
outages pause the whole account instead of spending every message's attempts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from . import bus as topics
from .errors import Ambiguous, BadCredentials, Rejected, RetryAfter, SendError, StoreUnavailable, Temporary
from .messages import Receipt, Status
from .ports import Connector
from .store import Store, Transaction, outbox
from .store.outbox import Parcel

log = structlog.get_logger(__name__)

IDLE_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Final:
    """This message is done with, one way or another."""

    status: Status
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """Certainly not sent; `pause_account` holds back everything of the account for the same time."""

    delay_ms: int
    error: str
    pause_account: bool = False


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Says what follows from an error; a value, outside of every channel. Back-off doubles, with jitter of a half."""

    base_ms: int = 500
    ceiling_ms: int = 60_000
    attempts: int = 8
    credentials_pause_ms: int = 60_000

    def decide(self, error: SendError, attempt: int, chance: float) -> Final | Later:
        """`chance` from 0 to 1 is the jitter; `attempt` counts from 1."""
        name = type(error).__name__
        match error:
            case RetryAfter():
                return Later(int(error.seconds * 1000), name)
            case BadCredentials():
                return Later(self.credentials_pause_ms, name, pause_account=True)
            case Rejected():
                return Final(Status.FAILED, f"{name}: {error.reason}")
            case Temporary() if attempt < self.attempts:
                backoff = min(self.base_ms * 2 ** (attempt - 1), self.ceiling_ms)
                return Later(int(backoff * (0.5 + chance / 2)), name)
            case Ambiguous():
                return Final(Status.AMBIGUOUS, name)
        return Final(Status.FAILED, name)


def _ignore(outcome: str) -> None:
    pass


@dataclass(slots=True)
class DeliveryWorker:
    """Sends what is due until it is stopped. `observe(outcome)` hears of every attempt."""

    store: Store
    connectors: Mapping[str, Connector]
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    workers: int = 16
    deadline_s: float = 15.0
    lease_s: float = 30.0
    chance: Callable[[], float] = random.random
    observe: Callable[[str], None] = _ignore
    _paused: dict[tuple[str, str], int] = field(default_factory=dict)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Works until cancelled. A parcel under way is left to its lease, and then counts as ambiguous."""
        if not self.connectors:
            return
        subscription = self.store.bus.subscribe(topics.OUTBOX)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._fill(group)
                    await subscription.wait(IDLE_POLL_S)
        finally:
            subscription.close()

    async def run_due(self) -> int:
        """Sends whatever is due now, one after another; returns how many attempts were made."""
        done = 0
        while parcels := await self._claim(1):
            for parcel in parcels:
                await self._deliver(parcel)
                done += 1
        return done

    async def _fill(self, group: asyncio.TaskGroup) -> None:
        free = self.workers - len(self._running)
        try:
            for parcel in await self._claim(free) if free > 0 else ():
                task = group.create_task(self._guarded(parcel))
                self._running.add(task)
                task.add_done_callback(self._ended)
        except StoreUnavailable:
            log.warning("delivery.store_unavailable")

    async def _claim(self, limit: int) -> list[Parcel]:
        lease_ms = int(self.lease_s * 1000)
        channels = tuple(self.connectors)

        def claim(tx: Transaction) -> list[Parcel]:
            for account in [a for a, until in self._paused.items() if until <= tx.now]:
                del self._paused[account]
            return list(outbox.claim(tx, channels, limit, lease_ms, tuple(self._paused)))

        if not await self.store.read(_some_due):
            return []
        return await self.store.write(claim)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A place is free: whatever waits for one may start."""
        self._running.discard(task)
        self.store.bus.publish(topics.OUTBOX)

    async def _guarded(self, parcel: Parcel) -> None:
        try:
            await self._deliver(parcel)
        except StoreUnavailable:
            log.warning("delivery.store_unavailable", message=parcel.message.id)
        except Exception:
            log.exception("delivery.broken", message=parcel.message.id)

    async def _deliver(self, parcel: Parcel) -> None:
        if parcel.expired:
            outcome: Final | Later | Receipt = Final(Status.EXPIRED, "waited too long")
        elif parcel.interrupted:
            outcome = Final(Status.AMBIGUOUS, "the worker that was sending it died")
        else:
            outcome = await self._send(parcel)
        name = await self._record(parcel, outcome)
        self.observe(name)
        log.info("delivery", message=parcel.message.id, channel=parcel.message.channel, outcome=name)

    async def _send(self, parcel: Parcel) -> Final | Later | Receipt:
        connector = self.connectors[parcel.message.channel]
        try:
            async with asyncio.timeout(self.deadline_s):
                return await connector.send(parcel.message)
        except TimeoutError:
            return self.policy.decide(Ambiguous("no answer in time"), parcel.attempt, self.chance())
        except SendError as error:
            return self.policy.decide(error, parcel.attempt, self.chance())

    async def _record(self, parcel: Parcel, outcome: Final | Later | Receipt) -> str:
        match outcome:
            case Receipt():
                await self.store.write(lambda tx: outbox.finish(tx, parcel, Status.SENT, outcome.provider_id))
                return "sent"
            case Final():
                await self.store.write(
                    lambda tx: outbox.finish(tx, parcel, outcome.status, error=outcome.error)
                )
                return outcome.status.value
        await self.store.write(lambda tx: self._postpone(tx, parcel, outcome))
        return "postponed"

    def _postpone(self, tx: Transaction, parcel: Parcel, later: Later) -> None:
        if later.pause_account:
            self._paused[parcel.message.channel, parcel.message.account] = tx.now + later.delay_ms
        outbox.postpone(tx, parcel, later.delay_ms, later.error)


def _some_due(tx: Transaction) -> bool:
    due = outbox.next_due(tx)
    return due is not None and due <= tx.now
