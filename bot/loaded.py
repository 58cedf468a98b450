"""A loaded model, made ready to serve turns."""

from __future__ import annotations

from typing import Any

from rasa.core.channels.channel import UserMessage
from rasa.core.policies.policy import Policy
from rasa.core.processor import MessageProcessor
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.shared.core.domain import SessionConfig

from bot import fast
from bot.action_endpoint import ActionEndpoint
from bot.state import Bounds, StateCodec
from bot.turn import current_turn


class LoadedModel:
    """Rasa's processor of one model, and what is derived from it once."""

    def __init__(self, processor: MessageProcessor, endpoint: ActionEndpoint | None) -> None:
        self.processor = processor
        self.name: str = processor.model_filename.removesuffix(".tar.gz")
        self.intents = set(processor.domain.intents)
        self.forms = set(processor.domain.form_names)
        self.codec = StateCodec(processor.domain, Bounds.of_policies(policies_of(processor)))
        self._endpoint = endpoint
        fast.install()
        self._adapt()

    def _adapt(self) -> None:
        # Conversations are the front door's: they do not expire by Rasa's clock.
        self.processor.domain.session_config = SessionConfig(0, carry_over_slots=True)
        self.processor.action_endpoint = self._endpoint
        if isinstance(self.processor.graph_runner, DaskGraphRunner):
            self.processor.graph_runner = fast.PlainRunner(self.processor.graph_runner)
        self.processor.on_circuit_break = _note_limit

    async def warm_up(self) -> None:
        """Let the pipeline read a first text, so that no customer waits for what it loads lazily."""
        await self.processor.parse_message(UserMessage("hello"))

    async def close(self) -> None:
        """Close the connections to the action server."""
        if self._endpoint is not None:
            await self._endpoint.close()


def policies_of(processor: MessageProcessor) -> list[Policy]:
    """Return the model's policies."""
    nodes: dict[str, Any] = processor.graph_runner._instantiated_nodes
    components = (node._component for node in nodes.values())
    return [component for component in components if isinstance(component, Policy)]


def _note_limit(*_: Any) -> None:
    turn = current_turn.get()
    if turn is not None:
        turn.limit_reached = True
