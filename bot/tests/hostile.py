"""Customers who never do what a form expects: random conversations from a seed."""

from __future__ import annotations

import random
from typing import Any

from rasa.shared.core.trackers import DialogueStateTracker

from bot.tests.garage_desk import understood

Message = tuple[str, dict[str, Any]]

VALUES = {
    "model": ["saab", "volvo", "fiat"],
    "plate": ["AB123", "CD456"],
    "day": ["monday", "tuesday", "friday"],
}
# The more often a name, the more often it is said.
OPENINGS = [
    *["cancel_booking", "grumble", "book_service", "report_fault", "car_ready"] * 2,
    *["greet", "opening_hours", "price", "thanks", "bye", "tell_more", "yes", "no", "give"],
    *["stop", "are_you_a_bot", "human_action"],
]
SMALL_TALK = ["opening_hours", "price", "are_you_a_bot", "thanks", "bye", "car_ready", "greet"]
# What a story or rule goes on with, after this reply.
NEXT = {
    "Cancel the booking": ["yes", "yes", "no"],
    "Anything else?": ["yes", "no"],
    "Shall I note a fault?": ["yes", "yes", "no"],
    "Shall we call you?": ["yes", "no"],
    "Shall we go on?": ["yes", "no"],
    "We open": ["tell_more"],
    "More about it.": ["tell_more"],
    "Reported.": ["thanks"],
}


class Customer:
    """Says one message after the other, seeing what the assistant asked."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._expected: list[str] | None = None
        self._digress = 0
        self._alternative = "greet"

    def next(self, tracker: DialogueStateTracker | None, replies: list[dict[str, Any]]) -> Message:
        """Return the next message and what is understood of it."""
        chance = self._random.random()
        if chance < 0.03:
            return self._command(chance)
        for reply in replies:
            for words, answers in NEXT.items():
                if reply["text"].startswith(words):
                    self._expected = answers
        loop = tracker.active_loop_name if tracker else None
        if loop == "action_two_stage_fallback":
            return self._confused()
        if loop:
            return self._in_form(tracker.get_slot("requested_slot") if tracker else None)
        return self._freely()

    def _command(self, chance: float) -> Message:
        if chance < 0.007:
            return "/restart", understood("restart", "/restart")
        if chance < 0.02:
            return "/back", understood("back", "/back")
        return self._message("human")

    def _message(self, intent: str, text: str | None = None, **entities: str) -> Message:
        words = text or f"{intent} {self._random.randint(0, 99)}"
        if intent == "nlu_fallback":
            self._alternative = self._random.choice(
                ["opening_hours", "cancel_booking", "book_service", "yes", "greet"]
            )
        return words, understood(intent, words, entities, second=self._alternative)

    def _giving(self, entity: str) -> Message:
        return self._message("give", **{entity: self._random.choice(VALUES[entity])})

    def _confused(self) -> Message:
        chance = self._random.random()
        if chance < 0.3:
            return self._message(self._alternative, f"/{self._alternative}")
        if chance < 0.6:
            return self._message("out_of_scope", "/out_of_scope")
        return self._message("nlu_fallback") if chance < 0.85 else self._opening()

    def _in_form(self, requested: str | None) -> Message:
        chance = self._random.random()
        if self._expected == NEXT["Shall we go on?"] and chance < 0.7:
            self._expected = None
            return self._message(self._random.choice(["yes", "no"]))
        if chance < 0.5:
            return self._answering(requested)
        other = [
            (0.6, "price"),
            (0.66, "opening_hours"),
            (0.71, "are_you_a_bot"),
            (0.79, "stop"),
            (0.87, "nlu_fallback"),
        ]
        for limit, intent in other:
            if chance < limit:
                return self._message(intent)
        return self._giving(self._random.choice(list(VALUES))) if chance < 0.93 else self._opening()

    def _answering(self, requested: str | None) -> Message:
        if requested in VALUES:
            return self._giving(str(requested))
        if requested in {"wait_here", "drives"}:
            return self._message(self._random.choice(["yes", "no"]))
        return self._message("give", self._random.choice(["it rattles", "nothing else", "the red one"]))

    def _freely(self) -> Message:
        if self._digress:
            self._digress -= 1
            return self._message(self._random.choice(SMALL_TALK))
        chance = self._random.random()
        if self._expected and chance < 0.75:
            if self._random.random() < 0.3:
                self._digress = min(14, int(self._random.expovariate(1 / 3)))
                return self._message(self._random.choice(SMALL_TALK))
            expected, self._expected = self._expected, None
            return self._message(self._random.choice(expected))
        if chance < 0.87:
            return self._opening()
        return self._message(self._random.choice(["nlu_fallback", "nlu_fallback", "out_of_scope"]))

    def _opening(self) -> Message:
        intent = self._random.choice(OPENINGS)
        if intent == "give":
            return self._giving(self._random.choice(list(VALUES)))
        if intent in {"cancel_booking", "car_ready"} and self._random.random() < 0.6:
            return self._message(intent, plate=self._random.choice(VALUES["plate"]))
        if intent == "book_service" and self._random.random() < 0.3:
            return self._message(intent, model=self._random.choice(VALUES["model"]))
        return self._message(intent)
