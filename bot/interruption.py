"""A policy for what must happen at once, whatever else is going on, and without the action server."""

from __future__ import annotations

from typing import Any

from rasa.core.policies.policy import Policy, PolicyPrediction, SupportedData
from rasa.engine.graph import ExecutionContext
from rasa.engine.recipes.default_recipe import DefaultV1Recipe
from rasa.engine.storage.resource import Resource
from rasa.engine.storage.storage import ModelStorage
from rasa.shared.constants import DEFAULT_NLU_FALLBACK_INTENT_NAME
from rasa.shared.core.constants import ACTION_DEACTIVATE_LOOP_NAME, ACTION_LISTEN_NAME
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.exceptions import InvalidConfigException

INTERRUPTIONS = "interruptions"
LEAST_CONFIDENCE = "least_confidence"
ABOVE_RULES = 10


@DefaultV1Recipe.register(DefaultV1Recipe.ComponentType.POLICY_WITHOUT_END_TO_END_SUPPORT, is_trainable=True)
class InterruptionPolicy(Policy):  # type: ignore[misc]
    """Answers some intents with one response each, ends an active form, then listens.

    `interruptions` in config.yml maps an intent to a response. Rules can't do this: an active form is asked
    first, and asks the action server. A message that was not understood counts too, when such an intent is the best
    guess with at least `least_confidence`: who may have asked for a person gets one.
    """

    # How many states of the history it takes into account: dialogue state is shortened by that (bot/state.py).
    looks_back = 1

    @staticmethod
    def supported_data() -> SupportedData:
        """Rules and stories alike; neither is looked at."""
        return SupportedData.ML_AND_RULE_DATA

    @staticmethod
    def get_default_config() -> dict[str, Any]:
        """No interruptions, above the rules."""
        return {"priority": ABOVE_RULES, "max_history": None, INTERRUPTIONS: {}, LEAST_CONFIDENCE: 1.0}

    @classmethod
    def create(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> InterruptionPolicy:
        """A policy from config.yml; an interruption without a response is refused."""
        for intent, response in config[INTERRUPTIONS].items():
            if not isinstance(response, str):
                raise InvalidConfigException(f"interruptions: intent '{intent}' needs the name of a response")
        return cls(config, model_storage, resource, execution_context)

    @classmethod
    def raise_if_incompatible_with_domain(cls, config: dict[str, Any], domain: Domain) -> None:
        """Refuses intents and responses that the domain does not know."""
        for intent, response in config.get(INTERRUPTIONS, {}).items():
            if intent not in domain.intents or response not in domain.action_names_or_texts:
                raise InvalidConfigException(f"interruptions: '{intent}: {response}' is not in the domain")

    def train(self, training_trackers: list[Any], domain: Domain, **kwargs: Any) -> Resource:
        """Checks the domain; there is nothing to learn."""
        self.raise_if_incompatible_with_domain(self.config, domain)
        return self._resource

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        model_storage: ModelStorage,
        resource: Resource,
        execution_context: ExecutionContext,
        **kwargs: Any,
    ) -> InterruptionPolicy:
        """The policy as configured."""
        return cls.create(config, model_storage, resource, execution_context)

    def predict_action_probabilities(
        self,
        tracker: DialogueStateTracker,
        domain: Domain,
        rule_only_data: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> PolicyPrediction:
        """Certain of the next action during an interruption, silent otherwise."""
        action = self._next_action(tracker)
        probabilities = self._default_predictions(domain)
        if action is None:
            return self._prediction(probabilities)
        probabilities[domain.index_for_action(action)] = 1.0
        return self._prediction(probabilities, is_no_user_prediction=True)

    def _meant(self, message: UserUttered) -> str | None:
        intent: str | None = message.intent.get("name")
        if intent != DEFAULT_NLU_FALLBACK_INTENT_NAME:
            return intent
        ranking = (message.parse_data or {}).get("intent_ranking") or []
        guesses = [guess for guess in ranking if guess["name"] != DEFAULT_NLU_FALLBACK_INTENT_NAME]
        sure = bool(guesses) and guesses[0]["confidence"] >= self.config[LEAST_CONFIDENCE]
        return str(guesses[0]["name"]) if sure else None

    def _next_action(self, tracker: DialogueStateTracker) -> str | None:
        message = tracker.latest_message
        response = self.config[INTERRUPTIONS].get(self._meant(message)) if message else None
        if response is None:
            return None
        if tracker.latest_action_name == ACTION_LISTEN_NAME:
            return str(response)
        if tracker.active_loop_name:
            return str(ACTION_DEACTIVATE_LOOP_NAME)
        return str(ACTION_LISTEN_NAME)
