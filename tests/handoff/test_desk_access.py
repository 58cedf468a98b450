"""Each address of the desk, with no session and with each role. An address that is not in the table fails."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from handoff import desk

from .office import Caller, Office

HANDOFF, CONVERSATION = "/desk/api/handoffs/{id}", "/desk/api/conversations/{id}"

# (method, path): body, then the status for nobody, for the agent who has the conversation, for an agent of another queue,
# for a supervisor, for an admin. 101 is an open socket.
TABLE: dict[tuple[str, str], tuple[Any, int, int, int, int, int]] = {
    ("POST", "/desk/api/login"): ({"email": "x@y.example", "password": "wrong password"}, 401, 401, 401, 401, 401),
    ("POST", "/desk/api/logout"): (None, 401, 200, 200, 200, 200),
    ("GET", "/desk/api/me"): (None, 401, 200, 200, 200, 200),
    ("PUT", "/desk/api/me/presence"): ({"state": "busy"}, 401, 200, 200, 200, 403),
    ("GET", "/desk/api/state"): (None, 401, 200, 200, 200, 200),
    ("GET", HANDOFF): (None, 401, 200, 403, 200, 200),
    ("POST", HANDOFF + "/accept"): (None, 401, 200, 403, 409, 403),
    ("POST", HANDOFF + "/decline"): ({"reason": "lunch"}, 401, 409, 403, 409, 403),
    ("POST", HANDOFF + "/transfer"): ({"queue": "billing"}, 401, 200, 403, 200, 403),
    ("POST", HANDOFF + "/return"): ({"note": "all yours"}, 401, 200, 403, 200, 403),
    ("POST", HANDOFF + "/resolve"): ({"disposition": "solved"}, 401, 200, 403, 200, 403),
    ("GET", CONVERSATION + "/messages"): (None, 401, 200, 403, 200, 200),
    ("POST", CONVERSATION + "/messages"): ({"id": "m", "text": "Hello"}, 401, 201, 403, 403, 403),
    ("POST", CONVERSATION + "/notes"): ({"id": "n", "text": "Note"}, 401, 201, 403, 201, 403),
    ("POST", CONVERSATION + "/typing"): (None, 401, 200, 403, 403, 403),
    ("POST", CONVERSATION + "/takeover"): (None, 401, 403, 403, 200, 403),
    ("GET", "/desk/api/customers/{id}"): (None, 401, 200, 403, 200, 200),
    ("GET", "/desk/ws"): (None, 401, 101, 101, 101, 101),
}  # fmt: skip
WHO = ("nobody", "holder", "stranger", "supervisor", "admin")
ROWS = [(key, who) for key in TABLE for who in WHO]


def test_the_table_covers_every_address() -> None:
    assert {(route.method, route.path) for route in desk.ROUTES} == set(TABLE)


async def test_the_application_has_no_other_address(small_office: Office) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in small_office.app.router.routes()
        if route.resource is not None
    }
    assert served - {("*", "/desk/api/{rest}")} == set(TABLE)


@pytest.mark.parametrize(("key", "who"), ROWS, ids=[f"{who} {m} {p}" for (m, p), who in ROWS])
async def test_each_address_with_each_role(small_office: Office, key: tuple[str, str], who: str) -> None:
    office = small_office
    callers: dict[str, Caller] = {
        "nobody": office.nobody(),
        "holder": await office.hire("Hanna"),
        "stranger": await office.hire("Sten", queues=("billing",)),
        "supervisor": await office.hire("Sue", "supervisor", queues=()),
        "admin": await office.hire("Adam", "admin", queues=()),
    }
    customer = office.customer()
    handoff = await customer.asks_for_a_person()
    assert (await callers["holder"].accept(handoff["id"])).status == 200
    ids = {HANDOFF: handoff["id"], CONVERSATION: handoff["conversation_id"]}
    method, path = key
    target = next((v for prefix, v in ids.items() if path.startswith(prefix)), handoff["customer_id"])
    body, *expected = TABLE[key]
    status = await _status(callers[who], method, path.replace("{id}", target), body)
    assert status == expected[WHO.index(who)]


async def _status(caller: Caller, method: str, path: str, body: Any) -> int:
    if path != "/desk/ws":
        return (await caller.call(method, path, body)).status
    try:
        socket = await caller.listen()
    except aiohttp.WSServerHandshakeError as error:
        return error.status
    await socket.close()
    return 101


async def test_what_waits_in_a_queue_is_for_that_queue(small_office: Office) -> None:
    """Before anybody has it: who serves the queue may look and take, others may not."""
    office = small_office
    ada, sten = await office.hire("Ada"), await office.hire("Sten", queues=("billing",))
    eve, adam = await office.hire("Eve", "supervisor"), await office.hire("Adam", "admin")
    handoff = await office.customer().asks_for_a_person()
    context, history = f"handoffs/{handoff['id']}", f"conversations/{handoff['conversation_id']}/messages"
    customer = f"customers/{handoff['customer_id']}"
    for path in (context, history, customer):
        seen = [(await caller.get(path)).status for caller in (ada, sten, eve, adam)]
        assert seen == [200, 403, 200, 200]
    assert (await ada.post(history, {"id": "1", "text": "Hi"})).code == "not_yours"
    assert (await ada.post(f"{context}/resolve", {"disposition": "x"})).code == "not_yours"
    assert (await eve.post(f"{context}/resolve", {"disposition": "x"})).code == "not_open"
    assert (await sten.state())["handoffs"] == []
    assert [h["id"] for h in (await adam.state())["handoffs"]] == [handoff["id"]]


async def test_once_taken_it_is_hidden_from_colleagues(small_office: Office) -> None:
    office = small_office
    ada, bob = await office.hire("Ada"), await office.hire("Bob")
    handoff = await office.customer().asks_for_a_person()
    await ada.accept(handoff["id"])
    assert (await bob.get(f"handoffs/{handoff['id']}")).code == "not_yours"
    assert (await bob.get(f"conversations/{handoff['conversation_id']}/messages")).code == "not_yours"
    assert (await bob.state())["handoffs"] == []
    await ada.post(f"handoffs/{handoff['id']}/resolve", {"disposition": "solved"})
    assert (await ada.get(f"conversations/{handoff['conversation_id']}/messages")).status == 200
    assert (await ada.get(f"customers/{handoff['customer_id']}")).code == "not_yours"


async def test_what_is_not_there(small_office: Office) -> None:
    ada = await small_office.hire("Ada", "supervisor")
    for path in ("handoffs/nothing", "conversations/nothing/messages", "customers/nothing"):
        assert (await ada.get(path)).code == "not_found"
    for verb in ("accept", "decline", "transfer", "return"):
        assert (await ada.post(f"handoffs/nothing/{verb}")).code == "not_found"
    assert (await ada.post("handoffs/nothing/resolve", {"disposition": "x"})).code == "not_found"
    assert (await ada.post("conversations/nothing/takeover")).code == "not_found"
    for path in ("canned", "upload", "handoffs/%00", "handoffs/a%2Fb", f"handoffs/{'a' * 65}", "nothing"):
        assert (await ada.get(path)).status == 404
    assert (await ada.get("/desk/ws")).status == 426


async def test_events_are_for_those_whom_they_concern(small_office: Office) -> None:
    office = small_office
    ada, sten = await office.hire("Ada"), await office.hire("Sten", queues=("billing",))
    bob, eve = await office.hire("Bob"), await office.hire("Eve", "supervisor")
    start = (await ada.state())["event"]
    customer = office.customer()
    handoff = await customer.asks_for_a_person()
    await ada.accept(handoff["id"])
    await customer.says("a secret")
    await ada.post(f"conversations/{handoff['conversation_id']}/notes", {"id": "n", "text": "noted"})
    await eve.put("me/presence", {"state": "available"})
    heard = {
        name: await _types(caller, start)
        for name, caller in (("ada", ada), ("bob", bob), ("sten", sten), ("eve", eve))
    }
    queue = ["handoff", "queue", "message"]
    assert heard["sten"] == ["presence"]
    assert heard["bob"] == [*queue, "handoff", "queue", "presence"]
    assert heard["ada"] == heard["eve"]
    assert sorted(heard["ada"]) == sorted(
        [*queue, "message", "handoff", "queue", "conversation", "message", "note", "presence"]
    )


async def _types(caller: Caller, after: int) -> list[str]:
    from .office import next_event

    socket = await caller.listen(after)
    heard: list[str] = []
    while not heard or heard[-1] != "presence":
        heard.append((await next_event(socket))["type"])
    await socket.close()
    return heard
