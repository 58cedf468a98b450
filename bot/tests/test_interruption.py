"""A person asked for is reached at once: inside a form, and on the best guess."""

from __future__ import annotations

from typing import Any

import pytest
from rasa.core.policies.policy import PolicyPrediction
from rasa.engine.graph import ExecutionContext, GraphSchema
from rasa.engine.storage.resource import Resource
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, ActiveLoop, Event, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.exceptions import InvalidConfigException

from bot.interruption import InterruptionPolicy

DOMAIN = Domain.from_dict(
    {
        "intents": ["human", "greet"],
        "slots": {"name": {"type": "text", "mappings": [{"type": "from_text"}]}},
        "forms": {"name_form": {"required_slots": ["name"]}},
        "responses": {"utter_person": [{"text": "Certainly."}], "utter_hello": [{"text": "Hello."}]},
    }
)


def policy(**config: Any) -> InterruptionPolicy:
    whole = {
        **InterruptionPolicy.get_default_config(),
        "interruptions": {"human": "utter_person"},
        "least_confidence": 0.3,
        **config,
    }
    return InterruptionPolicy.create(
        whole,
        None,
        Resource("interruption"),
        ExecutionContext(GraphSchema({}), "test"),
    )


def predicted(*events: Event) -> tuple[str | None, PolicyPrediction]:
    tracker = DialogueStateTracker.from_events("c", list(events), slots=DOMAIN.slots)
    prediction = policy().predict_action_probabilities(tracker, DOMAIN)
    if prediction.max_confidence == 0:
        return None, prediction
    return DOMAIN.action_names_or_texts[prediction.max_confidence_index], prediction


def said(intent: str, *ranking: tuple[str, float]) -> list[Event]:
    guesses = [{"name": name, "confidence": confidence} for name, confidence in ranking]
    parsed = {"intent": {"name": intent, "confidence": 1.0}, "intent_ranking": guesses, "entities": []}
    return [ActionExecuted("action_listen"), UserUttered("...", {"name": intent}, parse_data=parsed)]


def test_it_answers_ends_the_form_and_listens() -> None:
    form = [ActionExecuted("name_form"), ActiveLoop("name_form")]
    asked = [*form, *said("human")]
    answered = [*asked, ActionExecuted("utter_person")]
    ended = [*answered, ActionExecuted("action_deactivate_loop"), ActiveLoop(None)]

    assert [predicted(*so_far)[0] for so_far in (asked, answered, ended)] == [
        "utter_person",
        "action_deactivate_loop",
        "action_listen",
    ]
    assert predicted(*asked)[1].is_no_user_prediction, "or else the active form would win"


def test_without_a_form_it_answers_and_listens() -> None:
    assert predicted(*said("human"))[0] == "utter_person"
    assert predicted(*said("human"), ActionExecuted("utter_person"))[0] == "action_listen"


@pytest.mark.parametrize(
    ("ranking", "action"),
    [
        ([("nlu_fallback", 0.5), ("human", 0.31), ("greet", 0.3)], "utter_person"),
        ([("nlu_fallback", 0.5), ("human", 0.29)], None),
        ([("nlu_fallback", 0.5), ("greet", 0.45), ("human", 0.4)], None),
        ([("nlu_fallback", 0.5)], None),
    ],
)
def test_the_best_guess_is_enough(ranking: list[tuple[str, float]], action: str | None) -> None:
    assert predicted(*said("nlu_fallback", *ranking))[0] == action


def test_it_is_silent_otherwise() -> None:
    action, prediction = predicted(*said("greet"))
    assert action is None
    assert not prediction.is_no_user_prediction


@pytest.mark.parametrize("wrong", [{"human": "utter_nothing"}, {"nobody": "utter_person"}])
def test_what_the_domain_does_not_know_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidConfigException):
        policy(interruptions=wrong).train([], DOMAIN)
