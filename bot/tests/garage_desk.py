"""The garage's assistant in this process: loaded, and spoken to with or without understanding words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rasa.core.agent import Agent
from rasa.core.channels.channel import UserMessage
from rasa.shared.core.domain import Domain
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.endpoints import EndpointConfig

from bot.loaded import LoadedModel
from bot.replies import Replies
from bot.tests.workshop import run_action
from bot.tracker_store import TurnTrackerStore
from bot.turn import Turn, current_turn


class Direct(EndpointConfig):  # type: ignore[misc]
    """Runs custom actions in this process, by the same JSON."""

    def __init__(self, run: Callable[[dict[str, Any]], dict[str, Any]] = run_action) -> None:
        super().__init__("http://127.0.0.1:9/webhook")
        self._run = run

    async def request(self, method: str = "post", subpath: str | None = None, **kwargs: Any) -> Any:
        body = kwargs["json"]
        body.pop("domain", None)
        return json.loads(json.dumps(self._run(json.loads(json.dumps(body)))))

    async def close(self) -> None:
        """Nothing is open."""


def load(model: Path, endpoint: Any = None) -> LoadedModel:
    """Return the model, ready for turns."""
    agent = Agent.load(str(model), tracker_store=TurnTrackerStore(Domain.empty()))
    return LoadedModel(agent.processor, endpoint or Direct())


def understood(
    intent: str, text: str, entities: dict[str, str] | None = None, second: str = "no"
) -> dict[str, Any]:
    """Return what understanding would have made of a message."""
    named = {"name": intent, "confidence": 0.3 if intent == "nlu_fallback" else 0.9}
    found = [
        {"entity": name, "value": value, "start": 0, "end": 1, "extractor": "RegexEntityExtractor"}
        for name, value in (entities or {}).items()
    ]
    ranking = [named, {"name": second, "confidence": 0.2}]
    return {"text": text, "intent": named, "entities": found, "intent_ranking": ranking}


async def say(
    loaded: LoadedModel, tracker: DialogueStateTracker | None, text: str, parsed: dict[str, Any], number: int
) -> tuple[DialogueStateTracker, list[dict[str, Any]], list[Any]]:
    """Run one message on a tracker; return the tracker, the replies, and what happened as comparable values."""
    before = len(tracker.events) if tracker is not None else 0
    turn, replies = Turn(f"t{number}", "c", tracker=tracker), Replies()
    message = UserMessage(
        text,
        replies,
        "c",
        parse_data=json.loads(json.dumps(parsed)),
        input_channel="foyer",
        message_id=turn.id,
    )
    token = current_turn.set(turn)
    try:
        await loaded.processor.handle_message(message)
    finally:
        current_turn.reset(token)
    after: DialogueStateTracker = turn.tracker
    return after, replies.contents, [_essence(event) for event in list(after.events)[before:]]


def _essence(event: Any) -> tuple[Any, ...]:
    """Return what an event did, without times, policies and the like."""
    form = event.as_dict()
    kept = ("event", "name", "value", "text", "hide_rule_turn")
    return tuple(repr(form.get(key)) for key in kept)
