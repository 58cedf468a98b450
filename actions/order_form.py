"""The form that finds out which order is meant and who is asking, before anything is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actions import reading
from actions.directory import AccountDirectory, Attempt, Outcome, Verification
from actions.lookups import LookupFailed, Lookups, Patience
from actions.reading import Proof
from actions.turn import Dispatcher, Json, Tracker, Turn, set_slot

NAME = "validate_order_form"
FORM = "order_form"
MOST_UNUSABLE_ANSWERS = 3
MOST_FAILED_ATTEMPTS = 5

# Said in the middle of the form, these are answered by rules; then the form asks again.
INTERJECTIONS = frozenset({"greet", "thank", "bot_challenge", "help", "goodbye", "stop", "request_human"})

# Asked in the middle of the form, these change what is wanted; the form still needs its answer.
QUESTIONS = frozenset({"order_status", "delivery_date", "bill"})


@dataclass(frozen=True)
class Answers:
    """What the form has after this message. `new_number` and `new_proof` say what this message brought."""

    number: str | None
    proof: Proof | None
    new_number: bool
    new_proof: bool


@dataclass(frozen=True)
class OrderForm:
    """`validate_order_form`: asks for order number and proof, compares them, and counts what goes wrong."""

    directory: AccountDirectory
    patience: Patience = field(default_factory=Patience)

    async def __call__(self, dispatcher: Dispatcher, tracker: Tracker, domain: Any) -> list[Json]:
        """The events that fill, repeat or end the form. None at all leaves the message to the rules."""
        turn = Turn.of(tracker)
        if turn.customer is not None:
            return _ready(tracker, _number_in_slot(tracker))
        if _comes_back(tracker):
            return _ask_again(dispatcher, tracker)
        answers = read(tracker, turn)
        requested = tracker.slots.get("requested_slot")
        if requested and not (answers.new_number or answers.new_proof):
            return [] if turn.intent in INTERJECTIONS else _unusable(dispatcher, tracker, turn, answers)
        if answers.number is None:
            return _ask_number(dispatcher, answers)
        if answers.proof is None:
            return _ask_proof(dispatcher, answers, replaced=requested == "proof")
        return await self._compare(dispatcher, tracker, turn, answers.number, answers.proof)

    async def _compare(
        self, dispatcher: Dispatcher, tracker: Tracker, turn: Turn, number: str, proof: Proof
    ) -> list[Json]:
        attempt = Attempt(turn.id, number, proof.method, proof.value, turn.source, turn.now)
        lookups = Lookups(NAME, self.patience)
        asked = {"order_number": number, proof.method: reading.masked(proof)}
        try:
            found = await lookups.ask(asked, lambda: self.directory.verify(attempt), _shown)
        except LookupFailed as failure:
            lookups.tell(dispatcher)
            dispatcher.utter_message(response=f"say_handoff_lookup_{failure.problem}")
            return _ended(number)
        lookups.tell(dispatcher, [_effect(found)])
        if found.outcome == Outcome.VERIFIED:
            return _ready(tracker, number)
        if found.outcome == Outcome.BLOCKED or turn.failed_attempts + 1 >= MOST_FAILED_ATTEMPTS:
            dispatcher.utter_message(response="say_handoff_verification_failed")
            return _ended(number)
        dispatcher.utter_message(response="say_no_match")
        return _requesting("proof", number)


def read(tracker: Tracker, turn: Turn) -> Answers:
    """What the customer has given so far, with what this message adds."""
    requested = tracker.slots.get("requested_slot")
    said = f"{turn.text} {turn.first_entity('order_number') or ''}" if not turn.text else turn.text
    number = reading.order_number(said, expected=requested == "order_number")
    proof = reading.proof(turn.text or turn.first_entity("email", "postcode") or "")
    earlier = _number_before(tracker)
    return Answers(
        number=number or earlier,
        proof=proof or _proof_in_slot(tracker),
        new_number=number is not None and number != earlier,
        new_proof=proof is not None,
    )


def _shown(found: Verification) -> Json:
    shown: Json = {"verified": found.outcome == Outcome.VERIFIED, "customer": found.customer}
    return {**shown, "limit_reached": True} if found.outcome == Outcome.BLOCKED else shown


def _effect(found: Verification) -> Json:
    if found.outcome != Outcome.VERIFIED:
        return {"kind": "set_verification", "level": "none", "failed": True}
    return {
        "kind": "set_verification",
        "level": "order",
        "customer": found.customer,
        "name": found.name,
        "method": f"order_number+{found.method}",
    }


def _number_in_slot(tracker: Tracker) -> str | None:
    return reading.order_number(str(tracker.slots.get("order_number") or ""), expected=True)


def _number_before(tracker: Tracker) -> str | None:
    """The order number known before this message, which by now may have overwritten the slot."""
    messages = [index for index, event in enumerate(tracker.events) if event.get("event") == "user"]
    before = tracker.events[: messages[-1]] if messages else []
    values = [event.get("value") for event in before if event.get("name") == "order_number"]
    return reading.order_number(str(values[-1] or ""), expected=True) if values else None


def _proof_in_slot(tracker: Tracker) -> Proof | None:
    return reading.proof(str(tracker.slots.get("proof") or ""))


def _comes_back(tracker: Tracker) -> bool:
    """Whether the rules answered this message already and only the question is to be asked again."""
    for event in reversed(tracker.events):
        if event.get("event") == "user":
            return False
        if event.get("event") == "action_execution_rejected" and event.get("name") == FORM:
            return True
    return False


def _ask_again(dispatcher: Dispatcher, tracker: Tracker) -> list[Json]:
    number = _number_in_slot(tracker)
    if number is None:
        dispatcher.utter_message(response="say_ask_order_number_again")
        return [set_slot("requested_slot", "order_number")]
    dispatcher.utter_message(response="say_ask_proof_again", number=number)
    return [set_slot("requested_slot", "proof")]


def _unusable(dispatcher: Dispatcher, tracker: Tracker, turn: Turn, answers: Answers) -> list[Json]:
    asks_too = turn.intent in QUESTIONS
    missed = int(tracker.slots.get("answers_missed") or 0) + 1
    if missed >= MOST_UNUSABLE_ANSWERS:
        dispatcher.utter_message(response="say_handoff_form_failed")
        return _ended(answers.number)
    if answers.number is None:
        words = "say_ask_order_number_first" if asks_too else "say_order_number_unreadable"
        dispatcher.utter_message(response=words)
        return _requesting("order_number", None, missed=missed)
    words = "say_ask_proof_first" if asks_too else "say_proof_unreadable"
    dispatcher.utter_message(response=words, number=answers.number)
    return _requesting("proof", answers.number, missed=missed)


def _ask_number(dispatcher: Dispatcher, answers: Answers) -> list[Json]:
    dispatcher.utter_message(response="say_ask_order_number")
    return _requesting("order_number", None, proof=answers.proof.value if answers.proof else None)


def _ask_proof(dispatcher: Dispatcher, answers: Answers, *, replaced: bool) -> list[Json]:
    words = "say_ask_proof_new_number" if replaced else "say_ask_proof"
    dispatcher.utter_message(response=words, number=answers.number)
    return _requesting("proof", answers.number)


def _requesting(slot: str, number: str | None, *, proof: str | None = None, missed: int = 0) -> list[Json]:
    return [
        set_slot("order_number", number),
        set_slot("proof", proof),
        set_slot("answers_missed", missed),
        set_slot("requested_slot", slot),
    ]


def _ready(tracker: Tracker, number: str | None) -> list[Json]:
    wanted = tracker.slots.get("wanted") or "order_status"
    return [set_slot("wanted", wanted), *_finished("ready", number)]


def _ended(number: str | None) -> list[Json]:
    return _finished("ended", number)


def _finished(result: str, number: str | None) -> list[Json]:
    return [
        set_slot("order_number", number),
        set_slot("proof", None),
        set_slot("answers_missed", 0),
        set_slot("form_result", result),
        set_slot("requested_slot", None),
    ]
