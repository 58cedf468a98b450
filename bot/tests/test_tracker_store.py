"""Outside turns, where designers work with `rasa shell`, conversations are kept in memory."""

from __future__ import annotations

import asyncio

from rasa.core.tracker_store import TrackerStore, check_if_tracker_store_async
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted
from rasa.utils.endpoints import EndpointConfig

from bot.tests.conftest import GARAGE, ROOT
from bot.tracker_store import TurnTrackerStore
from bot.turn import Turn, current_turn


def test_rasa_makes_it_from_endpoints_yml() -> None:
    import yaml

    settings = yaml.safe_load((ROOT / "endpoints.yml").read_text())["tracker_store"]
    store = TrackerStore.create(EndpointConfig.from_dict(settings), Domain.empty())
    assert isinstance(store, TurnTrackerStore)
    assert check_if_tracker_store_async(store)


def test_it_remembers_outside_turns_and_forgets_within() -> None:
    domain = Domain.load(str(GARAGE / "domain.yml"))
    store = TurnTrackerStore(domain)

    async def story() -> None:
        tracker = await store.get_or_create_tracker("designer")
        tracker.update(ActionExecuted("utter_greet"))
        await store.save(tracker)
        again = await store.get_or_create_tracker("designer")
        assert again.latest_action_name == "utter_greet"
        assert list(await store.keys()) == ["designer"]

        turn = Turn("t1", "designer")
        token = current_turn.set(turn)
        try:
            assert await store.retrieve("designer") is None
            await store.save(tracker)
        finally:
            current_turn.reset(token)
        assert turn.tracker is tracker
        assert turn.saved

    asyncio.run(story())
