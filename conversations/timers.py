"""The timer worker: fires what is due, each timer in a transaction of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from .errors import StoreUnavailable
from .store import Store, Transaction, conversations, timers
from .store.timers import Timer

log = structlog.get_logger(__name__)

POLL_S = 1.0
AGAIN_MS = 60_000
"""When a timer whose handler broke is tried again."""

Handler = Callable[[Transaction, Timer], None]


@dataclass(slots=True)
class TimerWorker:
    """Runs `handlers[timer.kind]` for every due timer, in the transaction that takes the timer away."""

    store: Store
    handlers: Mapping[str, Handler]
    chores: tuple[Callable[[Transaction], object], ...] = ()
    chore_every_s: float = 600.0

    async def run(self) -> None:
        """Works until cancelled."""
        loop = asyncio.get_running_loop()
        next_chore = loop.time()
        while True:
            try:
                await self.run_due()
                if loop.time() >= next_chore:
                    next_chore = loop.time() + self.chore_every_s
                    await self._chores()
            except StoreUnavailable:
                log.warning("timers.store_unavailable")
            await asyncio.sleep(POLL_S)

    async def run_due(self) -> int:
        """Fires every timer that is due now; returns how many."""
        fired = 0
        while await self._one_is_due() and await self._next():
            fired += 1
        return fired

    async def _next(self) -> bool:
        try:
            return await self.store.write(self._fire)
        except StoreUnavailable:
            raise
        except Exception as error:  # an error's text may hold what a customer wrote
            log.error("timer.broken", error=type(error).__name__)  # noqa: TRY400
            return await self.store.write(_postpone)

    async def _one_is_due(self) -> bool:
        def due(tx: Transaction) -> bool:
            moment = timers.next_due(tx)
            return moment is not None and moment <= tx.now

        return await self.store.read(due)

    def _fire(self, tx: Transaction) -> bool:
        due = timers.take_due(tx, 1)
        for timer in due:
            handler = self.handlers.get(timer.kind)
            if handler is None:
                log.error("timer.unknown_kind", kind=timer.kind)
            elif timer.epoch is None or conversations.find(tx, timer.conversation_id).epoch == timer.epoch:
                handler(tx, timer)
        return bool(due)

    async def _chores(self) -> None:
        for chore in self.chores:
            await self.store.write(chore)


def _postpone(tx: Transaction) -> bool:
    """Puts the timer that broke behind the others, so that it holds nobody up; it is tried again."""
    due = timers.take_due(tx, 1)
    for timer in due:
        again = tx.now + AGAIN_MS
        conversations.set_timer(tx, timer.kind, timer.conversation_id, again, timer.epoch, timer.attempt + 1)
    return bool(due)
