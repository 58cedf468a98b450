"""The same as Rasa does, with less to do: replacements for what costs a turn most.

Each holds to what it replaces, and a test compares both. What they save is shown by `./foyer bench turns`;
one that no longer pays is taken out.
"""

from __future__ import annotations

import base64
import copy
import json
import types
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

import rasa.core.actions.forms
import rasa.core.policies.memoization
import rasa.core.policies.rule_policy
import rasa.core.processor
from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for
from rasa.core.actions.action import RemoteAction
from rasa.core.constants import POLICY_MAX_HISTORY
from rasa.core.policies.memoization import (
    AugmentedMemoizationPolicy,
    _get_max_applied_events_for_max_history,
)
from rasa.engine.graph import GraphNode
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.nlu.classifiers.logistic_regression_classifier import LogisticRegressionClassifier
from rasa.shared.core.constants import (
    ACTION_LISTEN_NAME,
    ACTIVE_LOOP,
    LOOP_NAME,
    PREVIOUS_ACTION,
    SHOULD_NOT_BE_SET,
    SLOTS,
    USER,
)
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import (
    ActionExecuted,
    ActionExecutionRejected,
    ActionReverted,
    ActiveLoop,
    BotUttered,
    DefinePrevUserUtteredFeaturization,
    Event,
    Restarted,
    SessionStarted,
    SlotSet,
    UserUtteranceReverted,
    UserUttered,
)
from rasa.shared.core.slots import Slot
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.nlu.constants import TEXT
from rasa.shared.nlu.training_data.message import Message
from rasa.shared.utils.schemas.events import EVENT_SCHEMA
from scipy.sparse import csr_matrix

# --- events that apply -----------------------------------------------------------------------------------------------
# Rasa asks `isinstance` of an abstract base class some thousand times a turn. Here each type is asked once.

_RESET, _REWIND, _UNDO, _ACTION, _SAID, _FEATURIZED, _LOOP, _REJECTED, _SLOT, _BOT, _OTHER = range(11)
_KINDS: tuple[tuple[int, tuple[type[Event], ...]], ...] = (
    (_RESET, (Restarted, SessionStarted)),
    (_UNDO, (ActionReverted,)),
    (_REWIND, (UserUtteranceReverted,)),
    (_ACTION, (ActionExecuted,)),
    (_SAID, (UserUttered,)),
    (_FEATURIZED, (DefinePrevUserUtteredFeaturization,)),
    (_LOOP, (ActiveLoop,)),
    (_REJECTED, (ActionExecutionRejected,)),
    (_SLOT, (SlotSet,)),
    (_BOT, (BotUttered,)),
)


class _KindOf(dict[type, int]):
    def __missing__(self, cls: type) -> int:
        kind = next((kind for kind, classes in _KINDS if issubclass(cls, classes)), _OTHER)
        self[cls] = kind
        return kind


_kind_of = _KindOf()


def applied_events(tracker: DialogueStateTracker) -> list[Event]:
    """Stand in for `DialogueStateTracker.applied_events`."""
    return applied_of(tracker.events)


def applied_of(events: Iterable[Event]) -> list[Event]:
    """Return which of the events apply, as a tracker of them alone would."""
    events = list(events)
    loops = {event.name for event in events if _kind_of[type(event)] == _LOOP and event.name}
    applied: list[Event] = []
    for event in events:
        kind = _kind_of[type(event)]
        if kind == _RESET:
            applied = []
        elif kind == _UNDO:
            _drop_through(_ACTION, applied)
        elif kind == _REWIND:
            _drop_through(_SAID, applied)
            _drop_through(_ACTION, applied)
        elif kind == _ACTION and event.action_name in loops and not _begins_loop(event.action_name, applied):
            _drop_loop_turn(event.action_name, applied)
        else:
            applied.append(event)
    return applied


def _drop_through(kind: int, applied: list[Event]) -> None:
    while applied:
        if _kind_of[type(applied.pop())] == kind:
            return


def _begins_loop(name: str, applied: list[Event]) -> bool:
    """Say whether the loop runs for the first time, or after something came between."""
    following: str | None = None
    for event in reversed(applied):
        kind = _kind_of[type(event)]
        if kind == _LOOP:
            if event.name is None:
                return True
        elif kind == _REJECTED:
            if event.action_name == name:
                return True
        elif kind == _SAID:
            if following is not None and following != name:
                return True
        elif kind == _ACTION:
            if event.action_name == name:
                return False
            following = event.action_name
    return True


def _drop_loop_turn(name: str, applied: list[Event]) -> None:
    """Drop what was said and done since the loop last ran; what it set stays."""
    at = len(applied)
    kept: list[Event] = []
    while at:
        event = applied[at - 1]
        kind = _kind_of[type(event)]
        if kind == _ACTION and event.action_name == name:
            break
        if kind not in (_ACTION, _SAID, _FEATURIZED):
            kept.append(event)
        at -= 1
    applied[at:] = reversed(kept)


# --- states ----------------------------------------------------------------------------------------------------------
# Policies ask for the states of the whole history again and again; most of a state is that of the one before.

_KEEPS_MESSAGE = frozenset({_ACTION, _LOOP, _REJECTED, _SLOT, _BOT})
_KEEPS_SLOTS = frozenset({_ACTION, _LOOP, _REJECTED, _BOT, _SAID, _FEATURIZED})

State = dict[str, Any]


def states_for_tracker_history(
    domain: Domain,
    tracker: DialogueStateTracker | _Suffix,
    omit_unset_slots: bool = False,
    ignore_rule_only_turns: bool = False,
    rule_only_data: dict[str, Any] | None = None,
) -> list[State]:
    """Stand in for `Domain.states_for_tracker_history`."""
    moments = _moments_of(domain, tracker, omit_unset_slots)
    if not ignore_rule_only_turns:
        return [moment.state() for moment in moments]
    states: list[State] = []
    last_action: dict[str, Any] | None = None
    hidden = False
    for moment in moments:
        if not hidden:
            last_action = moment.action
        if moment.decides:
            hidden = moment.hides
        if not hidden:
            states.append(_visible(moment.state(), states, last_action, rule_only_data))
    return states


@dataclass(frozen=True)
class _Moment:
    """What held before an action, and after the last: parts of the state, and whether the action is to be hidden."""

    message: dict[str, Any]
    slots: dict[str, Any]
    action: dict[str, Any] | None
    loop: str | None
    in_loop: bool
    decides: bool
    hides: bool

    def state(self) -> State:
        """Return the state, which callers may change."""
        state: State = {}
        if self.message:
            state[USER] = dict(self.message)
        if self.slots:
            state[SLOTS] = dict(self.slots)
        if self.action:
            state[PREVIOUS_ACTION] = self.action
        if self.in_loop:
            state[ACTIVE_LOOP] = {LOOP_NAME: self.loop}
        return state


def _moments_of(
    domain: Domain, tracker: DialogueStateTracker | _Suffix, omit_unset_slots: bool
) -> list[_Moment]:
    """Return the moments of a history; each policy asks for them again while nothing has happened since."""
    events = tracker.events
    mark = (len(events), id(events[-1]) if events else 0, id(domain), omit_unset_slots)
    kept: tuple[Any, list[_Moment]] | None = getattr(tracker, "_foyer_moments", None)
    if kept is None or kept[0] != mark:
        kept = tracker._foyer_moments = (mark, _follow(domain, tracker, omit_unset_slots))
    return kept[1]


def _follow(domain: Domain, tracker: DialogueStateTracker | _Suffix, omit_unset_slots: bool) -> list[_Moment]:
    """Let a tracker follow the events that apply; parts of the state that an event leaves alone are not asked again."""
    run = tracker.init_copy()
    moments: list[_Moment] = []
    message: dict[str, Any] | None = None
    slots: dict[str, Any] | None = None
    for event in [*tracker.applied_events(), None]:
        kind = _ACTION if event is None else _kind_of[type(event)]
        if kind == _ACTION:
            message = domain._get_user_sub_state(run) if message is None else message
            if slots is None:
                slots = domain._get_slots_sub_state(run, omit_unset_slots=omit_unset_slots)
            loop = run.active_loop
            decides = not run.followup_action and run.latest_action_name != run.active_loop_name
            hides = event is not None and event.hide_rule_turn
            name = loop.name if loop else None
            moments.append(_Moment(message, slots, run.latest_action, name, bool(loop), decides, hides))
        if event is None:
            break
        # What applies never looks back at the run's own events, so they need not be kept.
        event.apply_to(run)
        message = message if kind in _KEEPS_MESSAGE else None
        slots = slots if kind in _KEEPS_SLOTS else None
    return moments


def _visible(
    state: State,
    earlier: list[State],
    last_action: dict[str, Any] | None,
    rule_only_data: dict[str, Any] | None,
) -> State:
    """Return a state as policies see it that do not know of rules."""
    Domain._remove_rule_only_features(state, rule_only_data)
    if earlier:
        Domain._substitute_rule_only_user_input(state, earlier[-1])
    if last_action:
        state[PREVIOUS_ACTION] = last_action
    return {part: value for part, value in state.items() if value}


# --- memoized stories ------------------------------------------------------------------------------------------------
# When no story fits, Rasa cuts the history ever shorter and tries again, with two new trackers each time. Lists will
# do. And what the customer said last stays in all of them: where no story has it at that place, none will fit.

_said_in_stories: WeakKeyDictionary[AugmentedMemoizationPolicy, dict[str, bool]] = WeakKeyDictionary()


class _Suffix:
    """As much of a tracker as states are made from: the end of another one's history."""

    _foyer_moments: Any = None

    def __init__(self, tracker: DialogueStateTracker, events: list[Event]) -> None:
        self.init_copy = tracker.init_copy
        self.events = events

    def applied_events(self) -> list[Event]:
        return applied_of(self.events)

    def past_states(self, domain: Domain, **how: Any) -> list[State]:
        return states_for_tracker_history(domain, self, **how)


def recall_using_truncation(
    policy: AugmentedMemoizationPolicy,
    old_states: list[State],
    tracker: DialogueStateTracker,
    domain: Domain,
    rule_only_data: dict[str, Any] | None,
) -> str | None:
    """Stand in for `AugmentedMemoizationPolicy._recall_using_truncation`."""
    said = old_states[-1].get(USER) if old_states else None
    if said and tracker.latest_action_name == ACTION_LISTEN_NAME and not _is_in_stories(policy, said):
        return None
    reach = _get_max_applied_events_for_max_history(tracker, policy.config[POLICY_MAX_HISTORY])
    events = list(tracker.events) if reach is None else tracker.applied_events()[-reach:]
    suffix = _from_action(events, 0)
    while suffix:
        states = policy._prediction_states(_Suffix(tracker, suffix), domain, rule_only_data=rule_only_data)
        if states != old_states:
            recalled: str | None = policy._recall_states(states)
            if recalled is not None:
                return recalled
            old_states = states
        suffix = _from_action(suffix, 1)
    return None


def _from_action(events: list[Event], number: int) -> list[Event]:
    """Return what applies from the numbered action on, counted from 0; nothing when there are fewer."""
    applied = applied_of(events)
    actions = (at for at, event in enumerate(applied) if _kind_of[type(event)] == _ACTION)
    at = next(islice(actions, number, None), None)
    return [] if at is None else applied[at:]


def _is_in_stories(policy: AugmentedMemoizationPolicy, said: dict[str, Any]) -> bool:
    """Say whether any memorized story has this message of the customer in it, compared in the form of its keys."""
    known = _said_in_stories.setdefault(policy, {})
    text = json.dumps(said, sort_keys=True).replace('"', "")
    if text not in known:
        known[text] = any(text in _readable(policy, key) for key in policy.lookup)
    return known[text]


def _readable(policy: AugmentedMemoizationPolicy, key: str) -> str:
    return (
        zlib.decompress(base64.b64decode(key)).decode()
        if policy.config["enable_feature_string_compression"]
        else key
    )


# --- the graph -------------------------------------------------------------------------------------------------------
# Rasa builds a dask graph for each run, three to six times a turn, and dask orders it anew.

_Plan = list[tuple[str, GraphNode, list[str]]]


class PlainRunner:
    """Runs the nodes of a loaded graph one after the other, in an order found once for each target."""

    def __init__(self, runner: DaskGraphRunner) -> None:
        self._schema = runner._graph_schema
        self._instantiated_nodes: dict[str, GraphNode] = runner._instantiated_nodes
        self._plans: dict[tuple[str, ...], _Plan] = {}

    def run(self, inputs: dict[str, Any] | None = None, targets: list[str] | None = None) -> dict[str, Any]:
        """Stand in for `DaskGraphRunner.run`."""
        wanted = tuple(targets or self._schema.target_names)
        results = {name: (name, value) for name, value in (inputs or {}).items()}
        for name, node, needs in self._plan(wanted):
            results[name] = node(*[results.get(need, need) for need in needs])
        return dict(results[target] for target in wanted)

    def _plan(self, targets: tuple[str, ...]) -> _Plan:
        plan = self._plans.get(targets)
        if plan is None:
            plan = self._plans[targets] = self._order(targets)
        return plan

    def _order(self, targets: tuple[str, ...]) -> _Plan:
        nodes = self._schema.minimal_graph_schema(list(targets)).nodes
        ordered: dict[str, list[str]] = {}

        def visit(name: str) -> None:
            if name in nodes and name not in ordered:
                needs = list(nodes[name].needs.values())
                for need in needs:
                    visit(need)
                ordered[name] = needs

        for target in targets:
            visit(target)
        return [(name, self._instantiated_nodes[name], needs) for name, needs in ordered.items()]


# --- the classifier --------------------------------------------------------------------------------------------------


def create_x(classifier: LogisticRegressionClassifier, messages: list[Message]) -> Any:
    """Stand in for `LogisticRegressionClassifier._create_X`, which joins features of each word too and drops them."""
    if len(messages) == 1:
        message = messages[0]
        _, sparse = message._filter_sparse_features(TEXT, [])
        _, dense = message._filter_dense_features(TEXT, [])
        if sparse and not dense:
            return csr_matrix(message._combine_features(sparse, []).features)
    return ORIGINALS["_create_X"](classifier, messages)


# --- replies of actions ----------------------------------------------------------------------------------------------
# `jsonschema.validate` checks Rasa's schema itself before each reply, and compares each event with each of 23 kinds.

_REPLY_SCHEMA = RemoteAction.action_response_format_spec()
_reply_validator = validator_for(_REPLY_SCHEMA)(_REPLY_SCHEMA)
# Kinds of events that the schema knows by their name alone.
_BY_NAME_ALONE = frozenset(
    kind["properties"]["event"]["const"]
    for kind in EVENT_SCHEMA["oneOf"]
    if set(kind) == {"properties"} and set(kind["properties"]) == {"event"}
)


def validate_action_result(_action: RemoteAction, result: dict[str, Any]) -> bool:
    """Stand in for `RemoteAction._validate_action_result`."""
    if _is_plainly_valid(result):
        return True
    error = best_match(_reply_validator.iter_errors(result))
    if error is not None:
        raise error
    return True


def _is_plainly_valid(reply: Any) -> bool:
    """Say whether a reply is valid beyond doubt; in doubt, the schema decides."""
    if not isinstance(reply, dict):
        return False
    events, responses = reply.get("events"), reply.get("responses")
    if not isinstance(events, list) or not isinstance(responses, list):
        return False
    return all(map(_is_plain_event, events)) and all(isinstance(response, dict) for response in responses)


def _is_plain_event(event: Any) -> bool:
    if not isinstance(event, dict) or type(event.get("timestamp")) not in (float, int, type(None)):
        return False
    if not isinstance(event.get("metadata"), (dict, type(None))):
        return False
    name = event.get("event")
    if name == SlotSet.type_name:
        return isinstance(event.get("name"), str) and "value" in event
    return isinstance(name, str) and name in _BY_NAME_ALONE


# --- copies ----------------------------------------------------------------------------------------------------------


def copy_slot(slot: Slot) -> Slot:
    """Stand in for `copy.copy` of a slot, which takes the long way that pickle takes."""
    twin = object.__new__(type(slot))
    twin.__dict__.update(slot.__dict__)
    return twin


def slots_sub_state(tracker: DialogueStateTracker, omit_unset_slots: bool = False) -> dict[str, Any]:
    """Stand in for `Domain._get_slots_sub_state`, which asks each slot for its features up to three times."""
    out: dict[str, Any] = {}
    for name, slot in tracker.slots.items():
        if slot is None or not slot.influence_conversation:
            continue
        feature = slot.as_feature()
        if not feature or (omit_unset_slots and not slot.has_been_set):
            continue
        if slot.value == SHOULD_NOT_BE_SET:
            out[name] = SHOULD_NOT_BE_SET
        elif any(feature):
            out[name] = tuple(feature)
    return out


# In these modules deep copies are made for debug logs only, printed or not.
_COPY_FOR_LOGS = (
    rasa.core.processor,
    rasa.core.policies.rule_policy,
    rasa.core.policies.memoization,
    rasa.core.actions.forms,
)
_no_deep_copies = types.SimpleNamespace(copy=copy.copy, deepcopy=lambda value, *_: value)

# --- putting them in -------------------------------------------------------------------------------------------------

Replacement = tuple[Any, str, Any]
REPLACEMENTS: tuple[Replacement, ...] = (
    (DialogueStateTracker, "applied_events", applied_events),
    (RemoteAction, "_validate_action_result", validate_action_result),
    (Slot, "__copy__", copy_slot),
    (LogisticRegressionClassifier, "_create_X", create_x),
    (AugmentedMemoizationPolicy, "_recall_using_truncation", recall_using_truncation),
    (Domain, "_get_slots_sub_state", staticmethod(slots_sub_state)),
    (Domain, "states_for_tracker_history", states_for_tracker_history),
    *((module, "copy", _no_deep_copies) for module in _COPY_FOR_LOGS),
)


# What was there before, for who wants to compare.
ORIGINALS: dict[str, Any] = {name: getattr(owner, name, None) for owner, name, _ in REPLACEMENTS}


def install() -> None:
    """Put the replacements in, for the whole process; again does no harm."""
    for owner, name, replacement in REPLACEMENTS:
        setattr(owner, name, replacement)
