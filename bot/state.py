"""The dialogue state that travels with a conversation: small, bounded, and as good as the whole history.

A state is JSON: `{"v": 1, "domain": <fingerprint>, "events": [...]}`. Its events rebuild a tracker from which the
policies predict what they would have predicted from the whole conversation. What is left out, and why that is safe, is
decided in `Shortener`; a check on the written form catches what the rule missed, and then more is kept.

Message texts and look-up results are never part of it; values of slots are.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rasa.core.policies.memoization import MemoizationPolicy
from rasa.core.policies.policy import Policy
from rasa.core.policies.rule_policy import RULES, RULES_FOR_LOOP_UNHAPPY_PATH, RulePolicy
from rasa.shared.core.constants import (
    ACTION_LISTEN_NAME,
    ACTION_TWO_STAGE_FALLBACK_NAME,
    REQUESTED_SLOT,
    SESSION_START_METADATA_SLOT,
)
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
    Event,
    FollowupAction,
    LoopInterrupted,
    Restarted,
    SessionStarted,
    SlotSet,
    UserUtteranceReverted,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

VERSION = 1
# A fallback reverts one message of the customer, /back two; and where a form ends in nothing, each of several turns in a
# row takes back one more than its own. So much of the end may still go.
REVERTIBLE = 4
# Forms and the two-stage fallback look at the last messages as they came, reverted ones too.
AS_CAME = 3
# For policies that look at the whole history and so give no bound of their own.
UNBOUNDED_HISTORY = 30
# A form that is interrupted again and again is shortened within, once a state has more events than this.
MANY_EVENTS = 200

logger = logging.getLogger(__name__)


class StateError(ValueError):
    """A state that cannot be read; the message says why, without its content."""


@dataclass(frozen=True)
class Bounds:
    """How far back the model's policies look, counted in states (one for each action)."""

    history: int
    rule: int

    @classmethod
    def of_policies(cls, policies: Iterable[Policy]) -> Bounds:
        """Read the bounds from loaded policies."""
        history, rule = 1, 1
        for policy in policies:
            if isinstance(policy, RulePolicy):
                rule = max(rule, longest_rule(policy.lookup))
            else:
                history = max(history, _max_history(policy))
        return cls(history, rule)


def longest_rule(lookup: dict[str, Any]) -> int:
    """Return the number of states of the longest rule that a `RulePolicy` has learnt."""
    keys = [*lookup.get(RULES, {}), *lookup.get(RULES_FOR_LOOP_UNHAPPY_PATH, {})]
    return max((len(json.loads(key)) for key in keys), default=1)


def _max_history(policy: Policy) -> int:
    looks_back = getattr(policy, "looks_back", None)
    if looks_back is not None:
        return int(looks_back)
    configured = policy.config.get("max_history")
    if configured is None and not isinstance(policy, MemoizationPolicy):
        configured = getattr(policy.featurizer, "max_history", None)
    if configured is None:
        logger.warning(
            "%s looks at the whole history, which is not kept; it gets the last %d actions. Set max_history in config.yml.",
            type(policy).__name__,
            UNBOUNDED_HISTORY,
        )
        return UNBOUNDED_HISTORY
    return int(configured)


# --- the written form ------------------------------------------------------------------------------------------------

_PLAIN: dict[str, type[Event]] = {
    "start": SessionStarted,
    "restart": Restarted,
    "rewind": UserUtteranceReverted,
    "undo": ActionReverted,
    "reset_slots": AllSlotsReset,
    "pause": ConversationPaused,
    "resume": ConversationResumed,
}
_PLAIN_TAGS = {event: tag for tag, event in _PLAIN.items()}
_DROPPED = (BotUttered, DefinePrevUserUtteredFeaturization, LoopInterrupted)
_ENTITY_KEYS = ("entity", "role", "group")


def write_event(event: Event, timed: bool = False, with_text: bool = False) -> list[Any] | None:
    """Return an event's short form, `[tag, ...]`, or None for one that is not kept."""
    kind = type(event)
    if kind in _PLAIN_TAGS:
        return [_PLAIN_TAGS[kind]]
    if kind is ActionExecuted and event.action_name:
        return ["act", event.action_name, 1] if event.hide_rule_turn else ["act", event.action_name]
    if kind is SlotSet:
        return None if event.key == SESSION_START_METADATA_SLOT else ["slot", event.key, event.value]
    if kind is UserUttered:
        return _write_message(event, timed, with_text)
    if kind is ActiveLoop:
        return ["loop", event.name]
    if kind is ActionExecutionRejected:
        return ["rejected", event.action_name]
    if kind is FollowupAction:
        return ["next", event.action_name]
    return ["other", event.as_dict()]


def _write_message(event: UserUttered, timed: bool, with_text: bool) -> list[Any]:
    entities = [[entity.get(key) for key in _ENTITY_KEYS] for entity in event.entities]
    for entity in entities:
        while entity and entity[-1] is None:
            entity.pop()
    more: dict[str, Any] = {}
    if timed:
        more["at"] = round(event.timestamp, 3)
    if with_text and event.use_text_for_featurization:
        more["text"] = event.text
    out = ["said", event.intent_name, entities, more]
    while len(out) > 2 and not out[-1]:
        out.pop()
    return out


def _read_message(intent: Any, entities: Any = (), more: Any = None) -> UserUttered:
    more = more or {}
    text = more.get("text")
    return UserUttered(
        text,
        {"name": _name(intent)},
        [_read_entity(entity) for entity in entities],
        timestamp=more.get("at"),
        use_text_for_featurization=True if text else None,
    )


def _read_entity(parts: Any) -> dict[str, Any]:
    if not isinstance(parts, list) or not 0 < len(parts) <= len(_ENTITY_KEYS):
        raise StateError("an entity cannot be read")
    return {**dict(zip(_ENTITY_KEYS, map(_name, parts), strict=False)), "value": None}


def _read_action(name: Any, hidden: Any = 0) -> ActionExecuted:
    return ActionExecuted(_name(name), hide_rule_turn=bool(hidden))


def _name(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise StateError("a name is not text")


def _read_slot(key: Any, value: Any) -> SlotSet:
    if not isinstance(key, str):
        raise StateError("a slot's name is not text")
    return SlotSet(key, value)


_READERS: dict[str, Callable[..., Event]] = {
    **_PLAIN,
    "act": _read_action,
    "slot": _read_slot,
    "said": _read_message,
    "loop": lambda name: ActiveLoop(_name(name)),
    "rejected": lambda name: ActionExecutionRejected(_name(name)),
    "next": lambda name: FollowupAction(_name(name)),
    "other": lambda form: Event.from_parameters(form),
}


def read_event(form: Any) -> Event:
    """Rebuild an event from its short form. Raises `StateError` when it has none."""
    try:
        event = _READERS[form[0]](*form[1:])
    except StateError:
        raise
    except Exception as error:
        raise StateError("an event cannot be read") from error
    if not isinstance(event, Event):
        raise StateError("an event is of an unknown kind")
    return event


# --- what is kept ----------------------------------------------------------------------------------------------------


def _is_listen(event: Event) -> bool:
    return isinstance(event, ActionExecuted) and event.action_name == ACTION_LISTEN_NAME


def _is_message(event: Event) -> bool:
    return isinstance(event, (UserUttered, UserUtteranceReverted))


def fold_slots(events: Sequence[Event]) -> list[Event]:
    """Drop slot events that another one overwrites before anything else happens."""
    out: list[Event] = []
    overwritten: set[str] = set()
    for event in reversed(events):
        if isinstance(event, _DROPPED):
            continue
        if not isinstance(event, SlotSet):
            overwritten = set()
        elif event.key in overwritten:
            continue
        else:
            overwritten.add(event.key)
        out.append(event)
    return out[::-1]


def fold_loops(events: Sequence[Event]) -> list[Event]:
    """Drop loop events that another one follows before anything is said or done."""
    out: list[Event] = []
    followed = False
    for event in reversed(events):
        if isinstance(event, ActiveLoop):
            if followed:
                continue
            followed = True
        elif isinstance(event, (ActionExecuted, UserUttered)):
            followed = False
        out.append(event)
    return out[::-1]


def as_came_from(events: Sequence[Event]) -> int:
    """Return the index from where events stay as they came: the listening before the last `AS_CAME` messages."""
    messages = [at for at, event in enumerate(events) if _is_message(event)]
    if len(messages) <= AS_CAME:
        return 0
    at = messages[-AS_CAME]
    while at > 0 and not _is_listen(events[at]):
        at -= 1
    return at


@dataclass
class _Step:
    """What held just before an applied event."""

    loop: str | None
    paused: bool
    visible: bool | None


class Shortener:
    """Finds what of a conversation must be kept.

    Cuts are made only where the customer's turn starts, no loop is active and the conversation is not paused. Behind a
    cut there remain more actions than the policies look at, not counting what a fallback may still take back and what
    belongs to the active loop. Policies that learn from stories do not see the turns that only rules know; they are
    counted without them.

    With `within_loop`, cuts are also made in the loop that is active now, where it has run again since: what is said
    and done before its last run stays as it is when the loop ends.
    """

    def __init__(
        self, tracker: DialogueStateTracker, domain: Domain, bounds: Bounds, *, within_loop: bool = False
    ) -> None:
        self._domain, self._bounds, self._within_loop = domain, bounds, within_loop
        self._sender = tracker.sender_id
        self._events = self._relevant(tracker)
        self._applied = tracker.applied_events()
        self._position = {id(event): at for at, event in enumerate(self._applied)}
        self._steps = self._walk()
        self._actions = [at for at, event in enumerate(self._applied) if isinstance(event, ActionExecuted)]

    def strict(self) -> list[Event] | None:
        """Return events whose number is bounded whatever happens, or None when that gains nothing over `compact`."""
        recent, seen = self._cut(by_sight=False), self._cut(by_sight=True)
        if not recent or seen >= recent:
            return None
        older = self._only_seen(self._position[id(self._events[recent])])
        return self._finish(fold_slots(fold_loops(older)), self._events[recent:])

    def compact(self) -> list[Event]:
        """Return the events since the last safe cut, those of hidden turns too."""
        cut = self._cut(by_sight=True)
        return self._finish(self._head(self._events[:cut]) if cut else [], self._events[cut:])

    def _relevant(self, tracker: DialogueStateTracker) -> list[Event]:
        events = list(tracker.events)
        start = max(
            (at for at, e in enumerate(events) if isinstance(e, (Restarted, SessionStarted))), default=0
        )
        events = events[start:]
        if not tracker.is_paused():
            return events
        # A paused conversation only collects messages.
        pause = max(at for at, event in enumerate(events) if isinstance(event, ConversationPaused))
        said = [at for at, event in enumerate(events) if at > pause and isinstance(event, UserUttered)]
        surplus = set(said[:-AS_CAME])
        return [event for at, event in enumerate(events) if at not in surplus]

    def _walk(self) -> list[_Step]:
        """Follow the applied events as `Domain.states_for_tracker_history` does, and note what held before each."""
        run = DialogueStateTracker(self._sender, self._domain.slots)
        steps, hidden = [], False
        for event in self._applied:
            step = _Step(run.active_loop_name, run.is_paused(), None)
            if isinstance(event, ActionExecuted):
                if not run.followup_action and run.latest_action_name != run.active_loop_name:
                    hidden = event.hide_rule_turn
                step.visible = not hidden
            steps.append(step)
            run.update(event)
        self._loop_now = run.active_loop_name
        return steps

    def _settled(self) -> int:
        """Return the applied position up to where nothing can be taken back and no present loop reaches."""
        said = [at for at, event in enumerate(self._applied) if isinstance(event, UserUttered)]
        end = said[-REVERTIBLE] if len(said) >= REVERTIBLE else 0
        if not self._loop_now or self._within_loop:
            return end
        begun = max(
            (
                at
                for at, e in enumerate(self._applied)
                if isinstance(e, ActiveLoop) and self._steps[at].loop != e.name
            ),
            default=0,
        )
        return min(end, begun)

    def _starts(self) -> list[int]:
        """Return where customers' turns start that still apply, the latest first."""
        pairs = zip(self._events, self._events[1:], strict=False)
        return [
            at
            for at, (event, following) in enumerate(pairs)
            if _is_listen(event)
            and isinstance(following, UserUttered)
            and id(event) in self._position
            and id(following) in self._position
        ][::-1]

    def _cut(self, *, by_sight: bool) -> int:
        """Return the index of the latest safe cut in the events; 0 when there is none."""
        messages = [at for at, event in enumerate(self._events) if _is_message(event)]
        if len(messages) <= AS_CAME:
            return 0
        settled = self._settled()
        for start in self._starts():
            if 0 < start < messages[-AS_CAME] and self._is_safe(
                self._position[id(self._events[start])], settled, by_sight
            ):
                return start
        return 0

    def _is_safe(self, at: int, settled: int, by_sight: bool) -> bool:
        step = self._steps[at]
        remaining = [action for action in self._actions if at <= action < settled]
        if step.paused or not self._may_part(at, remaining):
            return False
        if len(remaining) <= max(self._bounds.history, self._bounds.rule):
            return False
        if not by_sight:
            return True
        seen = sum(1 for action in remaining if action > at and self._steps[action].visible)
        return bool(step.visible) and seen >= self._bounds.history

    def _may_part(self, at: int, remaining: Sequence[int]) -> bool:
        """Say whether the loop that was active at a position, if any, bears being cut there."""
        loop = self._steps[at].loop
        if not loop:
            return True
        runs_again = any(self._applied[action].action_name == loop for action in remaining)
        return self._within_loop and loop == self._loop_now and runs_again and self._is_old(at)

    def _is_old(self, at: int) -> bool:
        """Say whether enough follows for turns that go wrong one after the other, each undoing one more."""
        return len(self._applied) - at > MANY_EVENTS // 2

    def _head(self, events: Sequence[Event]) -> list[Event]:
        """Return what stands for events that are cut off: a session's start, the slots that they set, the loop."""
        folded = DialogueStateTracker.from_events(self._sender, events, self._domain.slots)
        changed = [slot for slot in folded.slots.values() if slot.value != slot.initial_value]
        return [
            SessionStarted(),
            *(SlotSet(slot.name, slot.value) for slot in changed),
            *self._loop_of(folded),
        ]

    def _loop_of(self, folded: DialogueStateTracker) -> list[Event]:
        loop = folded.active_loop
        if loop is None or not loop.name:
            return []
        return [ActiveLoop(loop.name), *([ActionExecutionRejected(loop.name)] if loop.rejected else [])]

    def _only_seen(self, end: int) -> list[Event]:
        """Return of the applied events before `end` what policies that learn from stories see."""
        begin = self._seen_begin(end)
        head = self._head(self._applied[:begin]) if begin else [SessionStarted()]
        keep = self._seen(begin, end)
        return head + [self._applied[at] for at in range(begin, end) if at in keep]

    def _seen_begin(self, end: int) -> int:
        """Return the position of a visible listening with enough visible actions behind it; 0 when there is none."""
        visible = [at for at in self._actions if at < end and self._steps[at].visible]
        for at in reversed(visible[: -(self._bounds.history + 1)]):
            if _is_listen(self._applied[at]) and self._may_part(
                at, [later for later in visible if later >= at]
            ):
                return at
        return 0

    def _seen(self, begin: int, end: int) -> set[int]:
        part = range(begin, end)
        actions = {at for at in part if self._steps[at].visible}
        messages = {
            at
            for at in part
            if isinstance(self._applied[at], UserUttered) and self._answered(at, end, actions)
        }
        keep = actions | messages | self._listenings(part, actions, messages)
        for at in part:
            event = self._applied[at]
            if isinstance(event, (SlotSet, ActiveLoop, AllSlotsReset)) or (
                isinstance(event, (ActionExecutionRejected, FollowupAction))
                and self._next_action(at, end) in actions
            ):
                keep.add(at)
        return keep

    def _answered(self, message: int, end: int, actions: set[int]) -> bool:
        """Say whether one of `actions` answers the message."""
        for at in range(message + 1, end):
            if isinstance(self._applied[at], UserUttered):
                return False
            if at in actions:
                return True
        return False

    def _next_action(self, at: int, end: int) -> int | None:
        return next(
            (later for later in range(at + 1, end) if isinstance(self._applied[later], ActionExecuted)), None
        )

    def _listenings(self, part: range, actions: set[int], messages: set[int]) -> set[int]:
        """Return the hidden listenings that must stay: the last before a kept message that none other precedes."""
        keep: set[int] = set()
        last: int | None = None
        hidden: int | None = None
        for at in [*part, None]:
            if at is None or at in messages:
                if hidden is not None and last is not None and not _is_listen(self._applied[last]):
                    keep.add(hidden)
                hidden = None
            elif at in actions:
                last, hidden = at, None
            elif _is_listen(self._applied[at]):
                hidden = at
        return keep

    def _finish(self, head: list[Event], tail: list[Event]) -> list[Event]:
        """Join both parts; what is older than the last messages is reduced to what applies."""
        raw = as_came_from(tail)
        if not raw:
            return [event for event in head + tail if not isinstance(event, _DROPPED)]
        older = DialogueStateTracker.from_events(self._sender, head + tail[:raw], self._domain.slots)
        recent = [event for event in tail[raw:] if not isinstance(event, _DROPPED)]
        return [SessionStarted(), *fold_slots(older.applied_events()), *recent]


# --- reading and writing ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """A state and how it came about: `kind` is loop, strict, compact or whole, `exact` whether it stood the check."""

    state: dict[str, Any]
    kind: str
    exact: bool


@dataclass
class Read:
    """A tracker from a state, and what of the state the model no longer knows."""

    tracker: DialogueStateTracker
    dropped_slots: set[str] = field(default_factory=set)
    dropped_loops: set[str] = field(default_factory=set)


class StateCodec:
    """Reads and writes the states of one loaded model."""

    def __init__(self, domain: Domain, bounds: Bounds) -> None:
        self.domain = domain
        self.bounds = bounds
        self.fingerprint: str = domain.fingerprint()
        self._slots = {slot.name for slot in domain.slots}
        self._loops = {*domain.form_names, ACTION_TWO_STAGE_FALLBACK_NAME}

    def write(self, tracker: DialogueStateTracker) -> Written:
        """Return the smallest state from which policies see what they see in `tracker`."""
        wanted = self._sight(tracker)
        try:
            for kind, events in self._shortened(tracker):
                written = self._written(tracker, kind, events, wanted)
                if written.exact:
                    return written
        except Exception:
            # A conversation that cannot be shortened costs bytes, not an answer.
            logger.exception("a dialogue cannot be shortened, it is kept whole")
        whole = [event for event in tracker.events if not isinstance(event, _DROPPED)]
        return self._written(tracker, "whole", whole, wanted)

    def _shortened(self, tracker: DialogueStateTracker) -> Iterator[tuple[str, list[Event]]]:
        """Yield what may be kept, the least first."""
        shortener = Shortener(tracker, self.domain, self.bounds)
        strict = shortener.strict()
        kind, least = ("compact", shortener.compact()) if strict is None else ("strict", strict)
        if len(least) > MANY_EVENTS and tracker.active_loop_name:
            within = Shortener(tracker, self.domain, self.bounds, within_loop=True)
            yield "loop", within.strict() or within.compact()
        yield kind, least
        if kind == "strict":
            yield "compact", shortener.compact()

    def _written(
        self, tracker: DialogueStateTracker, kind: str, events: list[Event], wanted: tuple[Any, ...]
    ) -> Written:
        said = [event for event in tracker.applied_events() if isinstance(event, UserUttered)]
        timed = {id(event) for event in said[-AS_CAME:]}
        forms = (write_event(event, timed=id(event) in timed, with_text=kind == "whole") for event in events)
        kept = [form for form in forms if form is not None]
        state = {"v": VERSION, "domain": self.fingerprint, "events": kept}
        return Written(state, kind, self._sight(self.read(state, tracker.sender_id).tracker) == wanted)

    def read(self, state: Any, sender: str) -> Read:
        """Return the tracker of a state. Raises `StateError` when it is not a state of ours."""
        if not isinstance(state, dict) or state.get("v") != VERSION:
            raise StateError("the state is of an unknown form")
        forms = state.get("events")
        if not isinstance(forms, list):
            raise StateError("the state has no events")
        read = Read(DialogueStateTracker(sender, self.domain.slots))
        try:
            for event in self._known(map(read_event, forms), read):
                read.tracker.update(event)
        except StateError:
            raise
        except Exception as error:
            raise StateError("the state's events do not fit together") from error
        return read

    def _known(self, events: Iterable[Event], read: Read) -> Iterable[Event]:
        """Leave out what the model does not know: it has been trained anew since."""
        for event in events:
            if isinstance(event, SlotSet) and event.key not in self._slots:
                read.dropped_slots.add(event.key)
            elif isinstance(event, ActiveLoop) and event.name and event.name not in self._loops:
                read.dropped_loops.add(event.name)
                yield ActiveLoop(None)
                yield SlotSet(REQUESTED_SLOT, None)
            elif (
                isinstance(event, SlotSet) and event.key == REQUESTED_SLOT and not self._can_ask(event.value)
            ):
                yield SlotSet(REQUESTED_SLOT, None)
            else:
                yield event

    def _can_ask(self, slot: Any) -> bool:
        return slot is None or slot in self._slots

    def _sight(self, tracker: DialogueStateTracker) -> tuple[Any, ...]:
        """Return all that rules, memoized stories and forms take from a tracker."""
        states = self.domain.states_for_tracker_history
        loop = tracker.active_loop
        slots = {
            name: slot.value for name, slot in tracker.slots.items() if name != SESSION_START_METADATA_SLOT
        }
        return (
            states(tracker, ignore_rule_only_turns=True)[-self.bounds.history :],
            states(tracker)[-(self.bounds.rule + 1) :],
            slots,
            (loop.name, loop.rejected) if loop else None,
            tracker.is_paused(),
            tracker.followup_action,
            tracker.latest_action_name,
        )
