"""Each replacement gives what it replaces gives."""

from __future__ import annotations

import ast
import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import ValidationError, validate
from rasa.core.actions.action import RemoteAction
from rasa.core.agent import Agent
from rasa.core.policies.memoization import AugmentedMemoizationPolicy
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    ActionExecutionRejected,
    ActionReverted,
    ActiveLoop,
    AllSlotsReset,
    BotUttered,
    ConversationPaused,
    ConversationResumed,
    DefinePrevUserUtteredFeaturization,
    EntitiesAdded,
    Event,
    FollowupAction,
    LegacyForm,
    Restarted,
    SessionStarted,
    SlotSet,
    UserUtteranceReverted,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.nlu.training_data.message import Message

from bot import fast
from bot.tests.conftest import GARAGE

# As Rasa brings them, whatever other tests have installed since.
ORIGINALS = {
    name: fast.ORIGINALS[name]
    for name in ("applied_events", "states_for_tracker_history", "_get_slots_sub_state")
}
ACTIONS = ["action_listen", "service_form", "fault_form", "utter_price", "utter_hours", "action_book"]
LOOPS = ["service_form", "fault_form", None]
INTENTS = ["greet", "price", "give", "yes", "nlu_fallback", "car_ready"]


def _said(intent: str, entity: bool) -> UserUttered:
    return UserUttered("words", {"name": intent}, [{"entity": "plate", "value": "AB123"}] if entity else [])


events = st.one_of(
    st.builds(ActionExecuted, st.sampled_from(ACTIONS), hide_rule_turn=st.booleans()),
    st.builds(ActionExecuted, st.just("action_listen"), hide_rule_turn=st.booleans()),
    st.builds(_said, st.sampled_from(INTENTS), st.booleans()),
    st.builds(_said, st.sampled_from(INTENTS), st.booleans()),
    st.builds(ActiveLoop, st.sampled_from(LOOPS)),
    st.builds(LegacyForm, st.sampled_from(LOOPS)),
    st.builds(SlotSet, st.just("model"), st.sampled_from(["saab", None])),
    st.builds(SlotSet, st.just("day"), st.sampled_from(["monday", "someday", None])),
    st.builds(SlotSet, st.just("regular"), st.sampled_from([True, False, None, "should_not_be_set"])),
    st.builds(SlotSet, st.just("plate"), st.just("AB123")),
    st.builds(ActionExecutionRejected, st.sampled_from(["service_form", "fault_form"])),
    st.builds(DefinePrevUserUtteredFeaturization, st.booleans()),
    st.builds(EntitiesAdded, st.just([{"entity": "model", "value": "saab"}])),
    st.builds(FollowupAction, st.sampled_from(ACTIONS)),
    st.builds(BotUttered, st.just("words")),
    st.sampled_from([Restarted, SessionStarted, AllSlotsReset, ConversationPaused, ConversationResumed]).map(
        lambda event: event()
    ),
    st.sampled_from([UserUtteranceReverted, ActionReverted]).map(lambda event: event()),
)
histories = st.lists(events, max_size=30)


@pytest.fixture(scope="module")
def domain() -> Domain:
    return Domain.load(str(GARAGE / "domain.yml"))


def _tracker(domain: Domain, history: list[Event]) -> DialogueStateTracker:
    return DialogueStateTracker.from_events("c", copy.deepcopy(history), domain.slots)


@settings(max_examples=400, deadline=None)
@given(history=histories)
def test_applied_events_are_the_same(domain: Domain, history: list[Event]) -> None:
    tracker = _tracker(domain, history)
    expected = ORIGINALS["applied_events"](tracker)
    found = fast.applied_events(tracker)
    assert [id(event) for event in found] == [id(event) for event in expected]


@settings(max_examples=400, deadline=None)
@given(
    history=histories,
    omit=st.booleans(),
    ignore=st.booleans(),
    only=st.sampled_from([None, {"rule_only_slots": ["day"], "rule_only_loops": ["service_form"]}]),
)
def test_states_are_the_same(
    domain: Domain, history: list[Event], omit: bool, ignore: bool, only: dict[str, Any] | None
) -> None:
    tracker = _tracker(domain, history)
    expected = ORIGINALS["states_for_tracker_history"](domain, tracker, omit, ignore, only)
    assert fast.states_for_tracker_history(domain, tracker, omit, ignore, only) == expected


@settings(max_examples=100, deadline=None)
@given(history=histories, more=histories)
def test_states_follow_what_happens(domain: Domain, history: list[Event], more: list[Event]) -> None:
    """What is remembered of a tracker's states neither outlives a new event nor what a caller does to them."""
    tracker = _tracker(domain, history)
    for event in [None, *copy.deepcopy(more)]:
        if event is not None:
            tracker.update(event)
        for ignore in (False, True):
            found = fast.states_for_tracker_history(domain, tracker, ignore_rule_only_turns=ignore)
            assert found == ORIGINALS["states_for_tracker_history"](domain, tracker, False, ignore)
            for state in found:
                for part in ("user", "slots", "active_loop"):
                    state.get(part, {}).clear()
                state.clear()


@settings(max_examples=100, deadline=None)
@given(history=histories, omit=st.booleans())
def test_slots_are_the_same(domain: Domain, history: list[Event], omit: bool) -> None:
    tracker = _tracker(domain, history)
    expected = ORIGINALS["_get_slots_sub_state"](tracker, omit)
    assert fast.slots_sub_state(tracker, omit) == expected


def test_a_copied_slot_is_a_slot_of_its_own(domain: Domain) -> None:
    for slot in domain.slots:
        twin = fast.copy_slot(slot)
        assert type(twin) is type(slot)
        assert vars(twin) == vars(slot)
        twin.value = "other"
        assert slot.value != "other"


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.just({}),
    st.just([]),
)
names = st.sampled_from(
    ["slot", "followup", "action", "active_loop", "user", "entities", "bot", "unheard_of", "restart"]
)
event_forms = st.fixed_dictionaries(
    {},
    optional={
        "event": names | odd,
        "name": st.just("plate") | odd,
        "value": odd,
        "timestamp": odd,
        "metadata": odd,
    },
)
plain_events = st.builds(
    lambda value: {"event": "slot", "name": "plate", "value": value, "timestamp": None}, odd
)
replies = st.fixed_dictionaries(
    {},
    optional={
        "events": st.lists(plain_events | event_forms | odd, max_size=3) | odd,
        "responses": st.lists(st.just({"text": "x"}) | odd, max_size=2) | odd,
    },
)


@settings(max_examples=500, deadline=None)
@given(reply=replies | odd)
def test_replies_are_judged_alike(reply: Any) -> None:
    action = RemoteAction("action_book", None)
    try:
        validate(reply, RemoteAction.action_response_format_spec())
    except ValidationError as error:
        with pytest.raises(ValidationError) as raised:
            fast.validate_action_result(action, reply)
        assert raised.value.message == error.message  # noqa: PT017
    else:
        assert fast.validate_action_result(action, reply)


@pytest.mark.parametrize("module", fast._COPY_FOR_LOGS, ids=lambda module: module.__name__)
def test_deep_copies_are_for_debug_logs_only(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    logged = {
        id(copied)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "structlogger.debug"
        for copied in ast.walk(call)
    }
    used = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "copy"
    ]
    assert used
    assert all(node.attr == "deepcopy" and id(node) in logged for node in used)


def test_the_plain_runner_runs_what_dask_runs(model: Path) -> None:
    """Understand and predict by both runners."""
    from rasa.core.channels.channel import UserMessage

    processor = Agent.load(str(model)).processor
    assert isinstance(processor.graph_runner, DaskGraphRunner)

    def outcome() -> list[Any]:
        out: list[Any] = []
        for text in ("hello there", "is AB123 ready", '/give{"day": "monday"}', "zzz"):
            parsed = asyncio.run(processor.parse_message(UserMessage(text)))
            tracker = DialogueStateTracker("c", processor.domain.slots)
            tracker.update(ActionExecuted("action_listen"))
            tracker.update(UserUttered(text, parsed["intent"], parsed["entities"], parsed))
            prediction = processor._predict_next_with_tracker(tracker)
            out.append((parsed, prediction.probabilities, prediction.policy_name, prediction.hide_rule_turn))
        return out

    expected = outcome()
    processor.graph_runner = fast.PlainRunner(processor.graph_runner)
    assert outcome() == expected


def test_features_of_a_message_are_the_same(model: Path) -> None:
    from rasa.core.channels.channel import UserMessage

    processor = Agent.load(str(model)).processor
    node = next(node for name, node in _nodes(processor).items() if "LogisticRegression" in name)
    seen: list[list[Message]] = []
    processor.graph_runner = fast.PlainRunner(processor.graph_runner)
    original = node._fn

    def watched(component: Any, messages: list[Message]) -> Any:
        seen.append(messages)
        return original(component, messages)

    node._fn = watched
    for text in ("hello", "is AB123 ready", "zzz qqq", ""):
        asyncio.run(processor.parse_message(UserMessage(text)))
        expected = fast.ORIGINALS["_create_X"](node._component, seen[-1])
        found = fast.create_x(node._component, seen[-1])
        assert found.shape == expected.shape
        assert (found != expected.tocsr()).nnz == 0


def _nodes(processor: Any) -> dict[str, Any]:
    return dict(processor.graph_runner._instantiated_nodes)


@settings(max_examples=150, deadline=None)
@given(history=histories)
def test_memoized_stories_are_recalled_alike(
    policy: AugmentedMemoizationPolicy, domain: Domain, history: list[Event]
) -> None:
    tracker = _tracker(domain, [SessionStarted(), ActionExecuted("action_listen"), *history])
    for intent in ("yes", "greet", "cancel_booking"):
        tracker.update(ActionExecuted("action_listen"))
        tracker.update(_said(intent, False))
        states = policy._prediction_states(tracker, domain, rule_only_data=None)
        expected = fast.ORIGINALS["_recall_using_truncation"](policy, states, tracker, domain, None)
        assert fast.recall_using_truncation(policy, states, tracker, domain, None) == expected


@pytest.fixture(scope="module")
def policy(model: Path) -> AugmentedMemoizationPolicy:
    from bot.loaded import policies_of

    found = policies_of(Agent.load(str(model)).processor)
    return next(policy for policy in found if isinstance(policy, AugmentedMemoizationPolicy))
