"""One turn that is under way: what came with its request, and what has happened since.

Rasa's own objects are shared by all requests of a process. What belongs to one request travels in a context variable,
which every task carries for itself; so concurrent turns cannot see each other.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


class TurnAborted(BaseException):
    """Ends a turn from within Rasa, which catches every `Exception` of an action and goes on as if nothing had happened.

    Like `asyncio.CancelledError` it must pass through such handlers, hence the base class.
    """


@dataclass
class ActionCall:
    """One call of a custom action: `seconds` is how long it took, `error` says why it is not `ok` or was rejected."""

    name: str
    ok: bool
    seconds: float
    error: str | None = None
    rejected: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the form of the turn's answer; `error` and `rejected` only where they say something."""
        out: dict[str, Any] = {"name": self.name, "ok": self.ok, "seconds": round(self.seconds, 4)}
        if self.error is not None:
            out["error"] = self.error
        if self.rejected:
            out["rejected"] = True
        return out


@dataclass
class Turn:
    """The working memory of one turn.

    `tracker` is what Rasa reads at the start and hands back at the end; None starts a new conversation.
    """

    id: str
    conversation: str
    tracker: Any = None
    saved: bool = False
    calls: list[ActionCall] = field(default_factory=list)
    failure: str | None = None
    limit_reached: bool = False

    def fail(self, call: ActionCall) -> None:
        """Note a failed call; the first failure names the turn's."""
        self.calls.append(call)
        self.failure = self.failure or call.name


current_turn: ContextVar[Turn | None] = ContextVar("current_turn", default=None)
