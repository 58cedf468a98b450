"""Logging in, staying logged in, being logged out; guessing and foreign pages."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from conversations.store import Store
from handoff import agents, passwords, sessions
from handoff.agents import Agent

from ..conftest import MovableClock
from .office import ORIGIN, Caller, Office, Seen, close_code, next_event

EMAIL, PASSWORD = "ada@foyer.example", "correct horse battery"


@pytest_asyncio.fixture
async def ada(small_office: Office) -> AsyncIterator[Agent]:
    yield await agents.add_agent(small_office.store, EMAIL, "Ada", password=PASSWORD)


async def log_in(office: Office, password: str = PASSWORD, email: str = EMAIL, **headers: str) -> Seen:
    return await office.nobody().post("login", {"email": email, "password": password}, headers=headers)


def with_cookie(office: Office, seen: Seen, **headers: str) -> Caller:
    cookie = seen.headers["Set-Cookie"].split(";", 1)[0]
    return Caller(office, {"Cookie": cookie} | headers)


async def test_the_cookie_is_for_the_desk_alone(small_office: Office, ada: Agent) -> None:
    seen = await log_in(small_office, email="  Ada@Foyer.Example ")
    assert seen.status == 200
    assert seen.body == {"agent": ada.as_json()}
    cookie = seen.headers["Set-Cookie"]
    assert cookie.startswith("foyer_desk_test=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/desk"} <= set(cookie.split("; "))
    assert (await with_cookie(small_office, seen).get("me")).body == {"agent": ada.as_json()}


async def test_wrong_password_and_unknown_address_get_the_same_words(
    small_office: Office, ada: Agent
) -> None:
    wrong = await log_in(small_office, "wrong password")
    unknown = await log_in(small_office, email="nobody@foyer.example")
    assert (wrong.status, wrong.body) == (unknown.status, unknown.body)
    assert wrong.code == "bad_credentials"
    assert not await passwords.matches(None, "nobody has this password")


async def test_guessing_is_stopped_for_an_address(
    small_office: Office, ada: Agent, clock: MovableClock
) -> None:
    for _ in range(10):
        assert (await log_in(small_office, "wrong password")).status == 401
    stopped = await log_in(small_office)
    assert stopped.status == 429
    assert 0 < int(stopped.headers["Retry-After"]) <= 900
    assert (await log_in(small_office, email="ADA@foyer.example ")).status == 429
    clock.advance(901)
    assert (await log_in(small_office)).status == 200


async def test_a_right_password_forgives(small_office: Office, ada: Agent) -> None:
    for _ in range(2):
        for _ in range(6):
            assert (await log_in(small_office, "wrong password")).status == 401
        assert (await log_in(small_office)).status == 200


async def test_guessing_is_stopped_for_a_network_address(sqlite_store: Store) -> None:
    limits = sessions.LoginLimits(per_address=5)
    async with Office(sqlite_store, limits=limits) as office:
        for i in range(5):
            assert (await log_in(office, email=f"a{i}@foyer.example")).status == 401
        assert (await log_in(office, email="b@foyer.example")).status == 429


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", "unknown"),
    ],
)
def test_the_network_that_is_counted(address: str, network: str) -> None:
    assert sessions._network(address) == network


async def test_a_change_with_the_cookie_needs_our_origin(small_office: Office, ada: Agent) -> None:
    seen = await log_in(small_office, Origin=ORIGIN)
    body = {"state": "busy"}
    for origin in ({}, {"Origin": "http://evil.test"}, {"Origin": "null"}, {"Origin": ORIGIN + ".evil.test"}):
        caller = with_cookie(small_office, seen, **origin)
        assert (await caller.put("me/presence", body)).code == "wrong_origin"
        assert (await caller.post("logout")).code == "wrong_origin"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await caller.listen()
        assert refused.value.status == 403
        assert (await caller.get("me")).status == 200
    ours = with_cookie(small_office, seen, Origin=ORIGIN)
    assert (await ours.put("me/presence", body)).status == 200
    await (await ours.listen()).close()


async def test_a_foreign_page_can_not_log_in(small_office: Office, ada: Agent) -> None:
    assert (await log_in(small_office, Origin="http://evil.test")).code == "wrong_origin"


async def test_logging_out_ends_session_and_sockets(small_office: Office, ada: Agent) -> None:
    ours = with_cookie(small_office, await log_in(small_office), Origin=ORIGIN)
    other = with_cookie(small_office, await log_in(small_office), Origin=ORIGIN)
    await ours.put("me/presence", {"state": "available"})
    socket, stays = await ours.listen(), await other.listen()
    assert (await ours.post("logout")).status == 200
    assert await close_code(socket) == 4401
    assert (await ours.get("me")).status == 401
    assert (await other.get("me")).body["agent"]["presence"] == "available"
    await other.post("logout")
    assert await close_code(stays) == 4401
    watcher = await small_office.hire("Eve", "supervisor")
    assert [a["presence"] for a in (await watcher.state())["agents"]] == ["away", "away"]


async def test_other_duties_close_sockets(small_office: Office, ada: Agent) -> None:
    ours = with_cookie(small_office, await log_in(small_office), Origin=ORIGIN)
    watcher = await small_office.hire("Eve", "supervisor")
    socket, watching = await ours.listen(), await watcher.listen()
    changed = await agents.set_duties(small_office.store, EMAIL, ("agent",), ("billing",))
    assert changed.queues == ("billing",)
    assert await close_code(socket) == 4403
    assert (await next_event(watching))["agent"]["queues"] == ["billing"]
    assert (await ours.get("me")).body["agent"]["queues"] == ["billing"]


async def test_another_password_ends_sessions(small_office: Office, ada: Agent) -> None:
    ours = with_cookie(small_office, await log_in(small_office), Origin=ORIGIN)
    socket = await ours.listen()
    await agents.set_password(small_office.store, EMAIL, "another password")
    assert await close_code(socket) == 4401
    assert (await ours.get("me")).status == 401
    assert (await log_in(small_office)).status == 401
    assert (await log_in(small_office, "another password")).status == 200


async def test_a_session_ends_in_time(small_office: Office, ada: Agent, clock: MovableClock) -> None:
    ours = with_cookie(small_office, await log_in(small_office), Origin=ORIGIN)
    socket = await ours.listen()
    clock.advance(12 * 3600 + 1)
    assert (await ours.get("me")).status == 401
    assert await close_code(socket) == 4401


async def test_one_kind_of_token_does_not_pass_for_the_other(small_office: Office, ada: Agent) -> None:
    seen = await log_in(small_office)
    token = seen.headers["Set-Cookie"].split(";", 1)[0].split("=", 1)[1]
    assert (await Caller(small_office, {"Authorization": f"Bearer {token}"}).get("me")).status == 401
    api = await sessions.make_api_token(small_office.store, EMAIL)
    assert (await Caller(small_office, {"Authorization": f"bearer {api}"}).get("me")).status == 200
    assert (await Caller(small_office, {"Cookie": f"foyer_desk_test={api}"}).get("me")).status == 401
    for given in ("", "Bearer", "Bearer ", f"Basic {api}", "Bearer \udcff"):
        assert (await Caller(small_office, {"Authorization": given}).get("me")).status == 401


async def test_the_store_holds_no_token(small_office: Office, ada: Agent) -> None:
    import sqlalchemy as sa

    from conversations.store.tables import agent_sessions
    from conversations.store.tables import agents as agents_table

    seen = await log_in(small_office)
    token = seen.headers["Set-Cookie"].split(";", 1)[0].split("=", 1)[1]
    rows = await small_office.store.read(
        lambda tx: [
            str(tuple(row))
            for table in (agent_sessions, agents_table)
            for row in tx.conn.execute(sa.select(table))
        ]
    )
    assert all(token not in row and PASSWORD not in row for row in rows)
