"""Asks what was meant when a message was not understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actions.turn import Dispatcher, Json, Tracker, set_slot

NAME = "action_clarify"
LEAST_CONFIDENCE = 0.2
CLOSE = 0.15

# What an intent is called when it is offered to the customer.
MEANINGS = {
    "order_status": "Where is my order?",
    "delivery_date": "When will it arrive?",
    "bill": "What do I owe?",
    "request_human": "Talk to a person",
    "help": "What can you do?",
}
ACCOUNT_INTENTS = frozenset({"order_status", "delivery_date", "bill"})
PERSON = {"title": MEANINGS["request_human"], "payload": "/request_human"}


async def clarify(dispatcher: Dispatcher, tracker: Tracker, domain: Any) -> list[Json]:
    """Offers what was most likely meant, so that "yes" or a button picks it; without a guess, asks to rephrase."""
    guesses = _guesses(tracker.latest_message.get("intent_ranking") or [])
    if not guesses:
        dispatcher.utter_message(response="say_rephrase")
        return [set_slot("misses", "once"), set_slot("suggested", "none")]
    best = guesses[0]
    buttons = [{"title": f"Yes: {MEANINGS[best]}"[:60], "payload": f"/{best}"}]
    buttons += [{"title": MEANINGS[other], "payload": f"/{other}"} for other in guesses[1:2]]
    buttons += [{"title": "No, something else", "payload": "/deny"}]
    if "request_human" not in guesses[:2]:
        buttons.append(PERSON)
    dispatcher.utter_message(response="say_did_you_mean", meaning=MEANINGS[best], buttons=buttons)
    wanted = [set_slot("wanted", best)] if best in ACCOUNT_INTENTS else []
    return [set_slot("misses", "once"), set_slot("suggested", best), *wanted]


def _guesses(ranking: list[Mapping[str, Any]]) -> list[str]:
    known = [
        (str(guess["name"]), float(guess["confidence"]))
        for guess in ranking
        if guess.get("name") != "nlu_fallback"
    ]
    if not known or known[0][0] not in MEANINGS or known[0][1] < LEAST_CONFIDENCE:
        return []
    return [name for name, confidence in known if name in MEANINGS and known[0][1] - confidence <= CLOSE]
