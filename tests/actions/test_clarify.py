"""What the assistant offers when it did not understand."""

from __future__ import annotations

from typing import Any

from actions.clarify import MEANINGS, clarify
from actions.turn import Json
from tests.actions.test_account_actions import domain_responses
from tests.actions.world import Conversation, Heard


async def offered(*ranking: tuple[str, float]) -> tuple[Heard, dict[str, Any]]:
    customer = Conversation(directory=None)  # type: ignore[arg-type]
    fallback: list[Json] = [{"name": "nlu_fallback", "confidence": 0.5}]
    customer.latest_message = {
        "intent_ranking": fallback + [{"name": n, "confidence": c} for n, c in ranking]
    }
    heard = Heard()
    events = await clarify(heard, customer, {})
    return heard, {event["name"]: event["value"] for event in events}


async def test_the_best_guess_is_offered_and_yes_means_it() -> None:
    heard, slots = await offered(("bill", 0.42), ("order_status", 0.35), ("greet", 0.1))

    assert heard.responses == ["say_did_you_mean"]
    assert heard.words[0]["meaning"] == MEANINGS["bill"]
    payloads = [button["payload"] for button in heard.words[0]["buttons"]]
    assert payloads == ["/bill", "/order_status", "/deny", "/request_human"]
    assert slots == {"misses": "once", "suggested": "bill", "wanted": "bill"}


async def test_a_guess_at_a_person_is_not_offered_twice() -> None:
    heard, slots = await offered(("request_human", 0.25), ("greet", 0.2))

    assert [button["payload"] for button in heard.words[0]["buttons"]] == ["/request_human", "/deny"]
    assert slots == {"misses": "once", "suggested": "request_human"}


async def test_without_a_guess_it_asks_to_rephrase() -> None:
    for ranking in ([], [("greet", 0.45)], [("bill", 0.1)]):
        heard, slots = await offered(*ranking)
        assert heard.responses == ["say_rephrase"]
        assert slots == {"misses": "once", "suggested": "none"}


def test_every_response_that_actions_say_has_words() -> None:
    known = domain_responses()
    assert {"say_did_you_mean", "say_rephrase", "say_not_verified", "say_no_match"} <= set(known)
    assert all(variation.get("text") for variations in known.values() for variation in variations)
    handing_over = {name for name in known if "_handoff_" in name or name == "utter_default"}
    for name in handing_over:
        assert all("handoff" in variation["custom"]["foyer"] for variation in known[name])  # type: ignore[index]
