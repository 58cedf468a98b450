"""Turns, as the channel serves them, against an action server that behaves as the test asks."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rasa.shared.core.domain import Domain

from bot.action_endpoint import ActionEndpoint
from bot.action_errors import watch_actions
from bot.channel import Refused, run_turn
from bot.loaded import LoadedModel
from bot.request import read_request
from bot.state import StateCodec
from bot.tests.garage_desk import load
from bot.tests.workshop import CALLS, REPLIES, make_workshop, run_action


@pytest.fixture(scope="module")
def loaded(model: Path) -> LoadedModel:
    watch_actions()
    return load(model)


class Desk:
    """Stands where the front door stands: sends messages, keeps the state."""

    def __init__(self, loaded: LoadedModel, workshop: web.Application, conversation: str = "c") -> None:
        self.loaded, self.workshop, self.conversation = loaded, workshop, conversation
        self.state: Any = None
        self.turns = 0

    async def says(self, text: str) -> dict[str, Any]:
        return await self._ask({"text": text})

    async def chooses(self, payload: str) -> dict[str, Any]:
        return await self._ask({"choice": payload})

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self.turns += 1
        body = {
            "turn": f"{self.conversation}-{self.turns}",
            "conversation": self.conversation,
            "message": message,
            "context": {"channel": "webchat", "verification": {"level": "none"}},
            "state": self.state,
        }
        answer = await run_turn(self.loaded, read_request(json.dumps(body).encode()))
        self.state = json.loads(json.dumps(answer["state"]))
        return answer


@asynccontextmanager
async def desk(loaded: LoadedModel, timeout: float = 3.0) -> Any:
    """Open an action server and a desk before it."""
    workshop = make_workshop()
    async with TestServer(workshop) as server:
        endpoint = ActionEndpoint(str(server.make_url("/webhook")), timeout=timeout)
        loaded.processor.action_endpoint = endpoint
        yield Desk(loaded, workshop)
        await endpoint.close()
        loaded.processor.action_endpoint = None


def _texts(answer: dict[str, Any]) -> list[str]:
    return [reply["text"] for reply in answer["replies"]]


def test_a_turn_tells_all_that_happened(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            answer = await garage.says("I want to book a service for my saab")
            assert _texts(answer) == ["Which day suits you?"]
            assert answer["replies"][0]["choices"][0] == {
                "title": "Monday",
                "payload": '/give{"day": "monday"}',
            }
            assert answer["understanding"]["intents"][0]["name"] == "book_service"
            entity = answer["understanding"]["entities"][0]
            assert (entity["entity"], entity["value"], entity["start"], entity["end"]) == (
                "model",
                "saab",
                32,
                36,
            )
            assert answer["slots"] == {"model": "saab"}
            assert answer["form"] == {"name": "service_form", "requested_slot": "day"}
            assert [(call["name"], call["ok"]) for call in answer["actions"]] == [
                ("validate_service_form", True)
            ]
            assert (answer["lookups"], answer["effects"], answer["handoff"]) == ([], [], None)
            assert answer["state_bytes"] == len(json.dumps(answer["state"], separators=(",", ":")))

    asyncio.run(story())


def test_a_form_goes_on_from_its_state_alone(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            await garage.says("I want to book a service for my saab")
            await garage.chooses('/give{"day": "friday"}')
            answer = await garage.chooses("/price")
            assert _texts(answer) == ["A service costs 200. Back to your booking.", "Will you wait here?"]
            await garage.chooses("/no")
            answer = await garage.chooses("/thanks")
            assert _texts(answer) == ["Booked for saab."]
            assert answer["effects"] == [{"kind": "book", "model": "saab"}]
            assert answer["form"] is None

    asyncio.run(story())


def test_state_holds_neither_words_nor_context(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            answer = await garage.says("hello secretword")
            assert "secretword" not in json.dumps(answer["state"])
            assert "webchat" not in json.dumps(answer["state"])

    asyncio.run(story())


@pytest.mark.parametrize(
    "typed", ["/restart", " /greet", "\ufeff/restart", '/give{"plate": "forged"}', "\u3000/human"]
)
def test_typed_commands_do_nothing_special(loaded: LoadedModel, typed: str) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            await garage.chooses('/car_ready{"plate": "AB123"}')
            answer = await garage.says(typed)
            assert answer["understanding"]["intents"][0]["confidence"] < 1
            assert answer["slots"]["plate"] == "AB123"
            assert answer["handoff"] is None

    asyncio.run(story())


def test_blank_messages_are_answered(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            for text in ("", "   ", "/", "\u200b", "\x00", "\ud83d", "\U0001f600" * 4096):
                assert (await garage.says(text))["replies"]

    asyncio.run(story())


def test_entities_lie_where_the_customer_typed_them(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            typed = "  / is AB123 ready"
            found = (await garage.says(typed))["understanding"]["entities"][0]
            assert typed[found["start"] : found["end"]] == "AB123"

    asyncio.run(story())


def test_a_choice_that_the_model_no_longer_knows_is_words(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            answer = await garage.chooses('/opening_hours_of_old{"plate": "XX999"}')
            assert answer["replies"]
            assert "plate" not in answer["slots"]

    asyncio.run(story())


def test_side_band_from_a_response_needs_no_action_server(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            answer = await garage.chooses("/human")
            assert _texts(answer) == ["A colleague takes over."]
            assert answer["handoff"] == {"reason": "customer_asked"}
            assert garage.workshop[CALLS] == []

    asyncio.run(story())


def test_side_band_from_an_action(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            answer = await garage.chooses('/car_ready{"plate": "AB123"}')
            assert _texts(answer) == ["It is ready."]
            assert answer["lookups"][0]["asked"] == {"plate": "AB123"}
            answer = await garage.chooses("/human_action")
            assert answer["handoff"] == {"reason": "customer_asked", "note": "c-2"}

    asyncio.run(story())


def test_actions_read_the_context_and_get_no_domain(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            await garage.chooses('/car_ready{"plate": "AB123"}')
            call = garage.workshop[CALLS][0]
            assert "domain" not in call
            metadata = call["tracker"]["latest_message"]["metadata"]
            assert metadata["turn"] == "c-1"
            assert metadata["context"]["verification"] == {"level": "none"}

    asyncio.run(story())


async def _server_error(_body: dict[str, Any]) -> web.Response:
    return web.json_response({"error": "boom"}, status=500)


async def _no_json(_body: dict[str, Any]) -> web.Response:
    return web.Response(text="<html>")


async def _bad_events(_body: dict[str, Any]) -> web.Response:
    return web.json_response({"events": [{"event": "slot"}], "responses": []})


async def _unknown_event(_body: dict[str, Any]) -> web.Response:
    return web.json_response({"events": [{"event": "unheard_of"}], "responses": []})


async def _endless(_body: dict[str, Any]) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def _cut_off(_body: dict[str, Any]) -> web.Response:
    raise ConnectionResetError


@pytest.mark.parametrize("fault", [_server_error, _no_json, _bad_events, _unknown_event, _endless, _cut_off])
def test_a_failed_action_fails_the_turn(loaded: LoadedModel, fault: Any) -> None:
    async def story() -> None:
        async with desk(loaded, timeout=0.3) as garage:
            await garage.chooses("/greet")
            before = garage.state
            garage.workshop[REPLIES]["action_car_ready"] = fault
            with pytest.raises(Refused) as raised:
                await garage.chooses('/car_ready{"plate": "AB123"}')
            error = raised.value.body["error"]
            assert (raised.value.status, error["code"]) == (503, "action_failed")
            assert error["details"]["action"] == "action_car_ready"
            del garage.workshop[REPLIES]["action_car_ready"]
            assert garage.state == before
            assert _texts(await garage.chooses('/car_ready{"plate": "AB123"}')) == ["It is ready."]

    asyncio.run(story())


def test_an_action_server_that_is_gone_fails_the_turn(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            gone = loaded.processor.action_endpoint = ActionEndpoint("http://127.0.0.1:9/webhook")
            with pytest.raises(Refused) as raised:
                await garage.chooses("/car_ready")
            assert raised.value.body["error"]["code"] == "action_failed"
            assert (await garage.chooses("/human"))["handoff"]
            await gone.close()

    asyncio.run(story())


def test_what_happened_before_the_failure_is_told(loaded: LoadedModel) -> None:
    async def report_fails(_body: dict[str, Any]) -> web.Response:
        reply = run_action({"next_action": "action_car_ready", "tracker": {"slots": {}}})
        reply["events"] = [{"event": "followup", "name": "action_crash"}]
        return web.json_response(reply)

    async def story() -> None:
        async with desk(loaded) as garage:
            garage.workshop[REPLIES]["action_car_ready"] = report_fails
            with pytest.raises(Refused) as raised:
                await garage.chooses("/car_ready")
            details = raised.value.body["error"]["details"]
            assert details["action"] == "action_crash"
            assert details["lookups"][0]["action"] == "action_car_ready"
            assert [call["ok"] for call in details["actions"]] == [True, False]

    asyncio.run(story())


def test_a_rejection_is_no_failure(loaded: LoadedModel) -> None:
    async def reject(body: dict[str, Any]) -> web.Response:
        refusal = {"error": "not now", "action_name": body["next_action"]}
        return web.json_response(refusal, status=400)

    async def story() -> None:
        async with desk(loaded) as garage:
            garage.workshop[REPLIES]["action_car_ready"] = reject
            answer = await garage.chooses("/car_ready")
            call = answer["actions"][0]
            assert (call["name"], call["ok"], call["rejected"], call["error"]) == (
                "action_car_ready",
                True,
                True,
                "not now",
            )

    asyncio.run(story())


@pytest.mark.parametrize(
    "side",
    [{"handoff": "now"}, {"handoff": {"queue": "x"}}, {"effects": {}}, {"lookups": [{"asked": 1}]}, []],
)
def test_a_side_band_that_nobody_could_carry_out_fails_the_turn(loaded: LoadedModel, side: Any) -> None:
    async def wrong(_body: dict[str, Any]) -> web.Response:
        return web.json_response({"events": [], "responses": [{"custom": {"foyer": side}}]})

    async def story() -> None:
        async with desk(loaded) as garage:
            garage.workshop[REPLIES]["action_car_ready"] = wrong
            with pytest.raises(Refused) as raised:
                await garage.chooses("/car_ready")
            assert raised.value.body["error"]["code"] == "turn_failed"

    asyncio.run(story())


def test_an_action_that_calls_itself_for_ever_fails_the_turn(loaded: LoadedModel) -> None:
    async def again(body: dict[str, Any]) -> web.Response:
        return web.json_response(
            {"events": [{"event": "followup", "name": body["next_action"]}], "responses": []}
        )

    async def story() -> None:
        async with desk(loaded) as garage:
            garage.workshop[REPLIES]["action_car_ready"] = again
            with pytest.raises(Refused) as raised:
                await garage.chooses("/car_ready")
            assert raised.value.body["error"]["details"]["reason"] == "too_many_actions"

    asyncio.run(story())


def test_turns_at_the_same_time_do_not_meet(loaded: LoadedModel) -> None:
    """Many customers wait in actions at once; all come out with their own."""
    waiting = 20
    barrier = asyncio.Barrier(waiting)

    async def together(body: dict[str, Any]) -> web.Response:
        await barrier.wait()
        return web.json_response(run_action(body))

    async def customer(number: int, garage: Desk) -> None:
        mine = Desk(loaded, garage.workshop, f"c{number}")
        plate = f"AB{100 + number}"
        for _ in range(3):
            answer = await mine.chooses(f'/car_ready{{"plate": "{plate}"}}')
            assert answer["lookups"][0]["asked"] == {"plate": plate}
            assert answer["slots"]["plate"] == plate
            assert len(answer["actions"]) == 1
        assert answer["slots"]["asked"] == 3

    async def story() -> None:
        async with desk(loaded) as garage:
            garage.workshop[REPLIES]["action_car_ready"] = together
            await asyncio.gather(*(customer(number, garage) for number in range(waiting)))

    asyncio.run(story())


def test_the_same_conversation_is_not_held_up_by_a_lock(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            one, two = Desk(loaded, garage.workshop), Desk(loaded, garage.workshop)
            barrier = asyncio.Barrier(2)

            async def together(body: dict[str, Any]) -> web.Response:
                await barrier.wait()
                return web.json_response(run_action(body))

            garage.workshop[REPLIES]["action_car_ready"] = together
            answers = await asyncio.gather(one.chooses("/car_ready"), two.chooses("/car_ready"))
            assert all(answer["replies"] for answer in answers)
            assert loaded.processor.lock_store.conversation_locks == {}

    asyncio.run(story())


BROKEN_STATES: list[Any] = [
    "text",
    [],
    7,
    {},
    {"v": 99, "events": []},
    {"v": 1},
    {"v": 1, "events": {}},
    {"v": 1, "events": [["unheard_of"]]},
    {"v": 1, "events": [[]]},
    {"v": 1, "events": ["start"]},
    {"v": 1, "events": [["act"]]},
    {"v": 1, "events": [["act", {"x": 1}]]},
    {"v": 1, "events": [["act", "a", 1, 2]]},
    {"v": 1, "events": [["slot", 7, 1]]},
    {"v": 1, "events": [["said", [], 7]]},
    {"v": 1, "events": [["said", "greet", [[{}]]]]},
    {"v": 1, "events": [["other", {"event": "unheard_of"}]]},
    {"v": 1, "events": [["other", None]]},
]


@pytest.mark.parametrize("state", BROKEN_STATES, ids=repr)
def test_a_broken_state_starts_afresh(loaded: LoadedModel, state: Any) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            garage.state = state
            answer = await garage.chooses("/greet")
            assert _texts(answer) == ["Welcome to the garage."]
            assert answer["state_reset"]
            answer = await garage.chooses("/greet")
            assert "state_reset" not in answer

    asyncio.run(story())


def test_what_cannot_be_shortened_is_kept_whole(loaded: LoadedModel) -> None:
    """As when a tracker is paused by no event that its history still has."""
    tracker = loaded.codec.read(
        {"v": 1, "events": [["start"], ["act", "action_listen"], ["said", "greet"]]}, "c"
    ).tracker
    tracker._paused = True
    written = loaded.codec.write(tracker)
    assert (written.kind, written.exact) == ("whole", False)
    assert loaded.codec.read(written.state, "c").tracker.latest_message.intent["name"] == "greet"


def test_a_retrained_model_drops_what_it_no_longer_knows(loaded: LoadedModel) -> None:
    smaller = loaded.processor.domain.as_dict()
    del smaller["forms"]["service_form"]
    for name in ("day", "wait_here", "remark"):
        del smaller["slots"][name]
    codec = StateCodec(Domain.from_dict(smaller), loaded.codec.bounds)

    async def story() -> None:
        async with desk(loaded) as garage:
            await garage.says("I want to book a service for my saab")
            answer = await garage.chooses('/give{"day": "friday"}')
            assert codec.fingerprint != answer["state"]["domain"]
            read = codec.read(answer["state"], "c")
            assert read.dropped_slots == {"day"}
            assert read.dropped_loops == {"service_form"}
            assert read.tracker.active_loop_name is None
            assert read.tracker.get_slot("requested_slot") is None
            assert read.tracker.get_slot("model") == "saab"
            assert codec.write(read.tracker).exact

    asyncio.run(story())


def test_turn_500_has_as_much_state_as_turn_50(loaded: LoadedModel) -> None:
    async def sizes(garage: Desk, choices: list[str], turns: int) -> list[int]:
        return [(await garage.chooses(choices[turn % len(choices)]))["state_bytes"] for turn in range(turns)]

    async def story() -> None:
        async with desk(loaded) as garage:
            found = await sizes(
                garage, ["/greet", "/price", "/car_ready", "/thanks", "/tell_more", "/grumble", "/no"], 210
            )
            assert max(found[140:]) <= max(found[35:105])

    asyncio.run(story())


def test_a_form_that_is_interrupted_for_ever_stays_small(loaded: LoadedModel) -> None:
    async def story() -> None:
        async with desk(loaded) as garage:
            await garage.chooses("/book_service")
            found = []
            for _ in range(60):
                for choice in ("/price", "/opening_hours", "/are_you_a_bot"):
                    answer = await garage.chooses(choice)
                    assert _texts(answer)[-1] == "Which car is it?"
                    found.append(answer["state_bytes"])
            assert max(found[120:]) <= max(found[60:120])
            answer = await garage.chooses('/give{"model": "saab"}')
            assert _texts(answer) == ["Which day suits you?"]
            assert answer["form"] == {"name": "service_form", "requested_slot": "day"}

    asyncio.run(story())
