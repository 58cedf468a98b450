"""Where Rasa reads and writes dialogue state: in the turn that is under way, not in a database.

Outside a turn of the front door (`rasa shell`, `rasa interactive`) conversations are kept in memory, as Rasa does by
default.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rasa.core.tracker_store import InMemoryTrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.trackers import DialogueStateTracker

from bot.turn import current_turn


class TurnTrackerStore(InMemoryTrackerStore):  # type: ignore[misc]
    """Rasa's tracker store for `endpoints.yml`."""

    def __init__(self, domain: Domain, event_broker: Any = None, **kwargs: Any) -> None:
        kwargs.pop("host", None)
        super().__init__(domain, event_broker, **kwargs)

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        """Return the tracker made from the state that came with this turn; None begins a conversation."""
        turn = current_turn.get()
        return await super().retrieve(sender_id) if turn is None else turn.tracker

    async def retrieve_full_tracker(self, conversation_id: str) -> DialogueStateTracker | None:
        """Return the same: a turn's state knows no earlier sessions."""
        turn = current_turn.get()
        return await super().retrieve_full_tracker(conversation_id) if turn is None else turn.tracker

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Hand the tracker back to the turn under way."""
        turn = current_turn.get()
        if turn is None:
            await super().save(tracker)
            return
        turn.tracker = tracker
        turn.saved = True

    async def keys(self) -> Iterable[str]:
        """Return the conversations kept in memory: none while only turns are served."""
        return list(self.store)
