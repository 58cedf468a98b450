"""Who may come in over HTTP, from where, how often, and with what."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from connectors.webchat import Site
from connectors.webchat.tokens import Claims, Tokens
from conversations.store import Store, Transaction, threads
from tests.conftest import MovableClock
from tests.webchat.world import APP_KEY, KEY, SITE, Customer, House, config, open_house

KEYED = {"X-Foyer-App": APP_KEY}
FROM_SITE = {"Origin": SITE}
OTHER = "https://other.example"


@pytest.fixture
async def two_sites(sqlite_store: Store) -> AsyncIterator[House]:
    sites = {"shop": Site(frozenset({"https://two.example"}), "other-key")}
    async with open_house(sqlite_store, config(sites=sites)) as house:
        yield house


def code(body: Any) -> str:
    return str(body["error"]["code"])


# ------------------------------------------------------------------ sessions


async def test_a_session_is_opened(any_house: House) -> None:
    opened = await any_house.session(locale="en-GB", page="https://shop.example/basket")
    assert (opened["conversation"], opened["last_seq"]) == (None, 0)
    found = await any_house.store.read(lambda tx: threads.find(tx, opened["thread"]))
    assert (found.channel, found.account, found.locale, found.outbox) == ("webchat", "main", "en-GB", False)
    assert len(found.address) >= 32


async def test_no_body_is_an_empty_one(house: House) -> None:
    async with house.http.post(house.url("/chat/session"), headers=KEYED) as answer:
        assert answer.status == 201


async def test_resuming_keeps_the_thread_and_lives_longer(any_house: House, clock: MovableClock) -> None:
    first = await any_house.session()
    clock.advance(20 * 86_400)
    second = await any_house.session(resume=first["session"])
    assert second["thread"] == first["thread"]
    assert second["expires_at"] > first["expires_at"]
    clock.advance(20 * 86_400)
    third = await any_house.session(resume=second["session"], locale="de")
    assert third["thread"] == first["thread"]
    found = await any_house.store.read(lambda tx: threads.find(tx, first["thread"]))
    assert found.locale == "de"


async def test_an_expired_session_gives_a_fresh_thread(any_house: House, clock: MovableClock) -> None:
    first = await any_house.session()
    clock.advance(31 * 86_400)
    assert (await any_house.session(resume=first["session"]))["thread"] != first["thread"]
    status, body = await any_house.get("/chat/messages", first["session"])
    assert (status, code(body)) == (401, "session_expired")


async def test_an_old_token_of_a_resumed_session_runs_out_all_the_same(
    house: House, clock: MovableClock
) -> None:
    first = await house.session()
    clock.advance(20 * 86_400)
    await house.session(resume=first["session"])
    clock.advance(20 * 86_400)
    assert (await house.session(resume=first["session"]))["thread"] != first["thread"]


async def test_a_revoked_session_gives_a_fresh_thread(any_house: House) -> None:
    first = await any_house.session()
    bearer = {"Authorization": f"Bearer {first['session']}"}
    status, body, _ = await any_house.post("/chat/session/end", headers=bearer)
    assert (status, body) == (200, {"ended": True})
    assert (await any_house.session(resume=first["session"]))["thread"] != first["thread"]
    status, body, _ = await any_house.post("/chat/session/end", headers=bearer)
    assert (status, code(body)) == (401, "session_expired")


async def test_a_forged_token_gives_a_fresh_thread(house: House) -> None:
    victim = await house.session()
    claims = Tokens(KEY).read(victim["session"])
    assert claims is not None
    forged = Tokens(b"x" * 32).sign(claims)
    for resume in (forged, "", "nonsense", victim["session"][:-4] + "AAAA", "\ud800", "x" * 9000):
        opened = await house.session(resume=resume)
        assert opened["thread"] != victim["thread"]
    for path in ("/chat/messages", "/chat/messages?limit=1"):
        status, body = await house.get(path, forged)
        assert (status, code(body)) == (401, "session_expired")


async def test_a_token_for_a_session_that_never_was_opens_nothing(house: House) -> None:
    victim = await house.session()
    invented = Tokens(KEY).sign(Claims("no such session", victim["thread"], "main", 9_999_999_999_000))
    assert (await house.session(resume=invented))["thread"] != victim["thread"]
    status, _ = await house.get("/chat/messages", invented)
    assert status == 401


async def test_a_session_does_not_open_another_thread(house: House) -> None:
    mine, victim = await house.session(), await house.session()
    claims = Tokens(KEY).read(mine["session"])
    assert claims is not None
    crossed = Tokens(KEY).sign(Claims(claims.session, victim["thread"], "main", claims.expires_at))
    assert (await house.session(resume=crossed))["thread"] != victim["thread"]
    status, _ = await house.get("/chat/messages", crossed)
    assert status == 401


async def test_a_session_of_another_account_gives_a_fresh_thread(two_sites: House) -> None:
    first = await two_sites.session()
    status, body, _ = await two_sites.post(
        "/chat/session", {"account": "shop", "resume": first["session"]}, {"X-Foyer-App": "other-key"}
    )
    assert status == 201
    assert body["thread"] != first["thread"]


async def test_who_shows_no_session_is_asked_for_one(house: House) -> None:
    for headers in ({}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}, {"Authorization": "x"}):
        async with house.http.get(house.url("/chat/messages"), headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"


# ------------------------------------------------------------ bad requests


@pytest.mark.parametrize(
    ("raw", "status", "expected"),
    [
        (b"{", 400, "bad_request"),
        (b"\xff\xfe", 400, "bad_request"),
        (b"[]", 400, "bad_request"),
        (b"null", 400, "bad_request"),
        (b"[" * 10_000, 400, "bad_request"),
        (b'{"locale": "../../etc"}', 422, "unprocessable"),
        (b'{"locale": "\\ud800"}', 422, "unprocessable"),
        (b'{"locale": 5}', 422, "unprocessable"),
        (b'{"resume": 5}', 422, "unprocessable"),
        (b'{"page": "javascript:alert(1)"}', 422, "unprocessable"),
        (b'{"account": "nobody"}', 422, "unknown_account"),
        (b'{"account": "a\\u0000"}', 422, "unknown_account"),
        (b'{"identity": "a.b.c"}', 422, "not_supported"),
        (b'{"identity": ""}', 422, "not_supported"),
        (b'{"page": "' + b"x" * 20_000 + b'"}', 413, "too_large"),
    ],
)
async def test_a_bad_body_is_refused_with_its_reason(
    house: House, raw: bytes, status: int, expected: str
) -> None:
    headers = KEYED | {"Content-Type": "application/json"}
    async with house.http.post(house.url("/chat/session"), data=raw, headers=headers) as answer:
        assert (answer.status, code(await answer.json())) == (status, expected)


async def test_a_body_without_announced_size_is_bounded_too(house: House) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 1024

    headers = KEYED | {"Content-Type": "application/json"}
    async with house.http.post(house.url("/chat/session"), data=endless(), headers=headers) as answer:
        assert (answer.status, code(await answer.json())) == (413, "too_large")


async def test_a_form_is_no_json(house: House) -> None:
    async with house.http.post(house.url("/chat/session"), data={"a": "b"}, headers=KEYED) as answer:
        assert (answer.status, code(await answer.json())) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "before=0", "before=1.5", "before=", "limit=²"]
)
async def test_odd_pages_are_refused(house: House, query: str) -> None:
    opened = await house.session()
    status, body = await house.get(f"/chat/messages?{query}", opened["session"])
    assert (status, code(body)) == (400, "bad_request")


async def test_pages_are_bounded(house: House) -> None:
    customer = await house.customer()
    await customer.says("hi")
    await house.fills(customer, 300)
    _, page = await house.get("/chat/messages?limit=9999999999", customer.token)
    assert len(page["messages"]) == 200
    _, page = await house.get("/chat/messages?before=9999999999", customer.token)
    assert len(page["messages"]) == 50


async def test_uploads_say_that_they_are_not_there_yet(house: House) -> None:
    opened = await house.session()
    bearer = {"Authorization": f"Bearer {opened['session']}"}
    status, body, _ = await house.post("/chat/upload", headers=bearer)
    assert (status, code(body)) == (501, "not_supported")


# ----------------------------------------------------------------- origins


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Foyer-App": "wrong"},
        {"X-Foyer-App": ""},
        {"X-Foyer-App": "schlüssel"},
        {"Origin": OTHER},
        {"Origin": OTHER, "X-Foyer-App": APP_KEY},
        {"Origin": "null"},
        {"Origin": SITE + ".evil.example"},
        {"Origin": SITE.replace("https", "http")},
        {"Origin": SITE + ":8443"},
    ],
)
async def test_who_has_no_business_here_is_refused(house: House, headers: Mapping[str, str]) -> None:
    status, body, answered = await house.post("/chat/session", {}, headers)
    assert (status, code(body)) == (403, "bad_origin")
    assert "Access-Control-Allow-Origin" not in answered


async def test_without_a_key_no_program_comes_in(sqlite_store: Store) -> None:
    async with open_house(sqlite_store, config(app_key="")) as house:
        for headers in ({}, {"X-Foyer-App": ""}):
            status, _, _ = await house.post("/chat/session", {}, headers)
            assert status == 403


async def test_an_allowed_site_may_read_the_answer_and_the_error(house: House) -> None:
    for body, expected in (({}, 201), ({"identity": "x"}, 422)):
        status, _, headers = await house.post("/chat/session", body, FROM_SITE)
        assert status == expected
        assert headers["Access-Control-Allow-Origin"] == SITE
        assert headers["Vary"] == "Origin"
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/chat/session", "POST"),
        ("/chat/session/end", "POST"),
        ("/chat/messages", "GET"),
        ("/chat/upload", "POST"),
    ],
)
async def test_preflights_of_allowed_sites_are_answered(house: House, path: str, method: str) -> None:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
    async with house.http.options(house.url(path), headers=FROM_SITE | asked) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == SITE
        assert answer.headers["Access-Control-Allow-Methods"] == method
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    async with house.http.options(house.url(path), headers={"Origin": OTHER} | asked) as answer:
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_site_of_one_account_is_a_stranger_to_another(two_sites: House) -> None:
    for account, origin, expected in (
        ("main", SITE, 201),
        ("shop", SITE, 403),
        ("main", "https://two.example", 403),
        ("shop", "https://two.example", 201),
    ):
        status, body, _ = await two_sites.post("/chat/session", {"account": account}, {"Origin": origin})
        assert status == expected, body
    status, _, _ = await two_sites.post("/chat/session", {"account": "shop"}, KEYED)
    assert status == 403


async def test_a_session_shown_from_a_strange_site_is_refused(two_sites: House) -> None:
    opened = await two_sites.session()
    for headers, expected in (
        ({}, 200),
        (FROM_SITE, 200),
        ({"Origin": OTHER}, 403),
        ({"Origin": "https://two.example"}, 403),
        ({"X-Foyer-App": "wrong"}, 403),
        (KEYED, 200),
    ):
        status, _ = await two_sites.get("/chat/messages", opened["session"], headers)
        assert status == expected, headers


async def test_a_socket_from_a_strange_site_is_closed(two_sites: House) -> None:
    customer = Customer(two_sites, await two_sites.session())
    await customer.dials(Origin=OTHER)
    assert await customer.is_closed_with() == 4403
    await customer.dials(**{"X-Foyer-App": "wrong"})
    await customer.sends(type="hello", session=customer.token)
    assert await customer.is_closed_with() == 4403


async def test_a_socket_from_the_site_of_another_account_is_closed(two_sites: House) -> None:
    customer = Customer(two_sites, await two_sites.session())
    await customer.dials(Origin="https://two.example")
    await customer.sends(type="hello", session=customer.token)
    assert await customer.is_closed_with() == 4403


async def test_a_socket_from_an_allowed_site_is_served(house: House) -> None:
    customer = Customer(house, await house.session())
    await customer.dials(Origin=SITE)
    await customer.sends(type="hello", session=customer.token)
    await customer.expects("welcome")


# ---------------------------------------------------------------- how often


async def test_too_many_sessions_from_one_address(sqlite_store: Store) -> None:
    limited = config(session_burst=3, sessions_per_minute=6)
    async with open_house(sqlite_store, limited) as house:
        house.seconds.step = 0
        first = await house.session()
        await house.session()
        await house.session()
        status, body, headers = await house.post("/chat/session", {})
        assert (status, code(body), headers["Retry-After"]) == (429, "rate_limited", "10")
        # Who is here already may come back.
        assert (await house.session(resume=first["session"]))["thread"] == first["thread"]
        house.seconds.now += 10
        await house.session()


async def test_dead_sessions_do_not_get_around_the_limit(sqlite_store: Store) -> None:
    async with open_house(sqlite_store, config(session_burst=1)) as house:
        house.seconds.step = 0
        opened = await house.session()
        bearer = {"Authorization": f"Bearer {opened['session']}"}
        await house.post("/chat/session/end", headers=bearer)
        status, _, _ = await house.post("/chat/session", {"resume": opened["session"]})
        assert status == 429


async def test_resuming_is_limited_too(sqlite_store: Store) -> None:
    async with open_house(sqlite_store, config(session_burst=1)) as house:
        house.seconds.step = 0
        opened = await house.session()
        await house.session(resume=opened["session"])
        status, _, _ = await house.post("/chat/session", {"resume": opened["session"]})
        assert status == 429


async def test_threads_are_made_by_the_server_alone(house: House) -> None:
    victim = await house.session()
    opened = await house.session(thread=victim["thread"], session=victim["session"], address="chosen")
    assert opened["thread"] != victim["thread"]

    def addresses(tx: Transaction) -> list[str]:
        return [threads.find(tx, one["thread"]).address for one in (victim, opened)]

    assert "chosen" not in await house.store.read(addresses)


async def test_answers_are_json_that_any_client_reads(house: House) -> None:
    async with house.http.post(house.url("/chat/session"), json={}, headers=KEYED) as answer:
        assert answer.content_type == "application/json"
        json.loads(await answer.read())
