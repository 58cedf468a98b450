"""Runs look-ups against the account system under a time limit, and writes down each try."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeVar

from actions.directory import DirectoryError
from actions.turn import Dispatcher, Json, side_band

T = TypeVar("T")
Problem = Literal["error", "timeout"]


@dataclass(frozen=True)
class Patience:
    """How long a look-up may take, both tries together, and how much of that the first try may use; seconds.

    The assistant waits 3 seconds for an action, so both tries must fit well within that.
    """

    total: float = 2.0
    first_try: float = 1.3


class LookupFailed(Exception):
    """The account system gave no answer, twice. `problem` says how it failed the last time."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem: Problem = problem


@dataclass
class Lookups:
    """The look-ups of one action in one turn; `records` go to the front door with `tell`."""

    action: str
    patience: Patience = field(default_factory=Patience)
    records: list[Json] = field(default_factory=list)

    async def ask(self, asked: Json, look: Callable[[], Awaitable[T]], shown: Callable[[T], object]) -> T:
        """The answer of `look`, tried at most twice. `asked` and what `shown` makes of the answer are recorded.

        Raises LookupFailed when both tries ended in an error or ran out of time.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.patience.total
        problem: Problem = "error"
        for seconds in (self.patience.first_try, self.patience.total):
            at, begun = datetime.now(UTC), loop.time()
            try:
                async with asyncio.timeout(min(seconds, max(0.0, ends - begun))):
                    answer = await look()
            except TimeoutError:
                problem = "timeout"
            except DirectoryError:
                problem = "error"
            else:
                self._record(asked, at, loop.time() - begun, ok=True, result=shown(answer))
                return answer
            self._record(asked, at, loop.time() - begun, ok=False, error=problem)
        raise LookupFailed(problem)

    def tell(self, dispatcher: Dispatcher, effects: list[Json] | None = None) -> None:
        """Sends the records, and `effects`, to the front door."""
        message = side_band(lookups=self.records, effects=effects or [])
        if message:
            dispatcher.utter_message(json_message=message)

    def _record(self, asked: Json, at: datetime, seconds: float, **rest: object) -> None:
        when = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.records.append(
            {"action": self.action, "asked": asked, "at": when, "seconds": round(seconds, 4), **rest}
        )
