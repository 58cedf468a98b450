"""The desk's state at any number, plus the events behind it, is the state now: the page's own code against a real server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from conversations.store import Store
from frontdoor import frontend
from tests.handoff.office import Caller, Office, next_event

pytestmark = pytest.mark.timeout(120)


async def test_the_page_s_state_follows_the_server_s(sqlite_store: Store, tmp_path: Path) -> None:
    async with Office(sqlite_store) as office:
        callers = [await office.hire("Ada"), await office.hire("Bo"), await office.hire("Sol", "supervisor")]
        seen: list[list[Any]] = [[await caller.state()] for caller in callers]
        async for _ in a_day(office, *callers):
            for caller, states in zip(callers, seen, strict=True):
                states.append(await caller.state())
        played = [
            {"states": states, "events": await events_behind(office, caller, states[0], states[-1])}
            for caller, states in zip(callers, seen, strict=True)
        ]
    path = tmp_path / "played.json"
    path.write_text(json.dumps(played))
    code, said = await vitest(path)
    assert code == 0, said


async def a_day(office: Office, ada: Caller, bo: Caller, sol: Caller) -> Any:
    """Yields after each step."""
    customers = [office.customer() for _ in range(4)]
    handoffs = [str((await one.asks_for_a_person())["id"]) for one in customers]
    yield
    await ada.put("me/presence", {"state": "available"})
    await ada.accept(handoffs[0])
    await ada.accept(handoffs[1])
    await bo.accept(handoffs[2])
    yield
    await customers[0].writes("are you there? 😀" + "x" * 200)
    await customers[0].writes("hello?")
    await customers[2].writes("hm")
    yield
    first = (await customers[0].conversation()).id
    await ada.post(f"conversations/{first}/messages", {"id": "m1", "text": "I am Ada."})
    await ada.post(f"conversations/{first}/notes", {"id": "n1", "text": "a note"})
    await customers[0].writes("thanks")
    yield
    await bo.post(f"handoffs/{handoffs[3]}/decline", {"reason": "lunch"})
    await bo.post(f"handoffs/{handoffs[2]}/transfer", {})
    yield
    await ada.accept(handoffs[2])
    await sol.post(f"conversations/{first}/takeover")
    yield
    await ada.post(f"handoffs/{handoffs[1]}/return", {})
    await customers[3].ends()
    yield
    await ada.post(f"handoffs/{handoffs[2]}/resolve", {"disposition": "solved"})
    await bo.put("me/presence", {"state": "busy", "reason": "training"})
    yield


async def events_behind(office: Office, caller: Caller, first: Any, last: Any) -> list[Any]:
    """What the caller's socket says between two states. The last event of all may be for somebody else."""
    await caller.put("me/presence", {"state": "away"})
    url = office.server.make_url(f"/desk/ws?after={first['event']}")
    events: list[Any] = []
    async with office.http.ws_connect(url, headers=caller.headers) as socket:
        while True:
            event = await next_event(socket)
            if event.get("event", 0) > last["event"]:
                return events
            events.append(event)


async def vitest(played: Path) -> tuple[int, str]:
    """Runs the desk's reducer over what was played."""
    process = await asyncio.create_subprocess_exec(
        *frontend.run_script("test"),
        env=frontend.node_environment() | {"PLAYED": str(played)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()
