"""What goes wrong on a socket, each by its name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from connectors.webchat.frames import MAX_FRAME
from connectors.webchat.tokens import Claims, Tokens
from conversations.bus import LocalBus, LocalSubscription
from conversations.errors import StoreUnavailable
from conversations.messages import MAX_TEXT
from conversations.store import Store
from conversations.store.engine import Job, T
from tests.conftest import MovableClock
from tests.webchat.world import KEY, PATIENCE_S, Customer, House, config, open_house


class FlakyStore:
    """A store that refuses while `full` (writes) or `gone` (everything)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.bus = store.bus
        self.dialect = store.dialect
        self.full = False
        self.gone = False

    async def write(self, job: Job[T]) -> T:
        if self.full or self.gone:
            raise StoreUnavailable("database or disk is full")
        return await self._store.write(job)

    async def read(self, job: Job[T]) -> T:
        if self.gone:
            raise StoreUnavailable("gone")
        return await self._store.read(job)

    async def close(self) -> None:
        await self._store.close()


async def dialled(house: House) -> Customer:
    customer = Customer(house, await house.session())
    await customer.dials()
    return customer


# ------------------------------------------------------------------- hello


async def test_no_hello_in_time(sqlite_store: Store) -> None:
    async with open_house(sqlite_store, config(hello_seconds=0.02)) as house:
        customer = await dialled(house)
        assert await customer.is_closed_with() == 4408


async def test_pings_of_the_wire_do_not_stand_for_a_hello(sqlite_store: Store) -> None:
    async with open_house(sqlite_store, config(hello_seconds=0.05)) as house:
        customer = await dialled(house)
        await customer.socket.ping()
        assert await customer.is_closed_with() == 4408


@pytest.mark.parametrize(
    "first",
    [
        "not json",
        "[]",
        "{}",
        '{"type": "ping"}',
        '{"type": "message", "id": "a", "text": "hi"}',
        '{"type": "hello"}',
        '{"type": "hello", "session": 5}',
        '{"type": "hello", "session": "x", "last_seq": -1}',
        '{"type": "hello", "session": "x", "last_seq": 1e30}',
    ],
)
async def test_a_bad_first_frame(house: House, first: str) -> None:
    customer = await dialled(house)
    await customer.socket.send_str(first)
    assert await customer.is_closed_with() == 4400
    assert customer.heard[0]["code"] == "bad_frame"


async def test_a_binary_first_frame(house: House) -> None:
    customer = await dialled(house)
    await customer.socket.send_bytes(b"{}")
    assert await customer.is_closed_with() == 4400


async def is_refused(customer: Customer, token: str) -> None:
    await customer.dials()
    await customer.sends(type="hello", session=token)
    assert await customer.is_closed_with() == 4401
    error = customer.heard.pop()
    assert (error["code"], error["then"]) == ("session_expired", "reconnect")


async def test_a_forged_session(house: House) -> None:
    customer = Customer(house, await house.session())
    claims = Tokens(KEY).read(customer.token)
    assert claims is not None
    await is_refused(customer, Tokens(b"x" * 32).sign(claims))
    await is_refused(customer, "nonsense")


async def test_a_session_with_another_thread(house: House) -> None:
    customer, victim = Customer(house, await house.session()), await house.session()
    claims = Tokens(KEY).read(customer.token)
    assert claims is not None
    await is_refused(
        customer, Tokens(KEY).sign(Claims(claims.session, victim["thread"], "main", claims.expires_at))
    )


async def test_an_expired_session(any_house: House, clock: MovableClock) -> None:
    customer = Customer(any_house, await any_house.session())
    clock.advance(31 * 86_400)
    await is_refused(customer, customer.token)


async def test_a_revoked_session(any_house: House) -> None:
    customer = Customer(any_house, await any_house.session())
    await revoke(any_house, customer)
    await is_refused(customer, customer.token)


async def revoke(house: House, customer: Customer) -> None:
    status, _, _ = await house.post(
        "/chat/session/end", headers={"Authorization": f"Bearer {customer.token}"}
    )
    assert status == 200


async def test_a_session_revoked_while_connected(any_house: House) -> None:
    tab = await any_house.customer()
    other = await tab.another_tab()
    await revoke(any_house, tab)
    for customer in (tab, other):
        assert await customer.is_closed_with() == 4401
        assert customer.heard[-1]["code"] == "session_expired"


async def test_a_session_that_expires_while_connected_takes_no_message(
    any_house: House, clock: MovableClock
) -> None:
    customer = await any_house.customer()
    clock.advance(31 * 86_400)
    await customer.writes("too late")
    assert await customer.is_closed_with() == 4401
    assert any_house.accepted == []
    assert [frame["type"] for frame in customer.heard] == ["error"]


async def test_a_session_that_expires_while_idle_is_found_by_the_sweep(
    house: House, clock: MovableClock
) -> None:
    customer = await house.customer()
    clock.advance(31 * 86_400)
    await house.hub.sweep()
    assert await customer.is_closed_with() == 4401


async def test_a_request_that_is_no_socket(house: House) -> None:
    async with house.http.get(house.url("/chat/ws")) as answer:
        assert answer.status == 400


# ------------------------------------------------------------------ frames


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("not json", "bad_frame"),
        ("[]", "bad_frame"),
        ('"text"', "bad_frame"),
        ("{}", "bad_frame"),
        ('{"type": "dance"}', "unknown_type"),
        ('{"type": "message", "id": "a"}', "bad_frame"),
        ('{"type": "message", "text": "no id"}', "bad_frame"),
        ('{"type": "message", "id": "a", "text": ""}', "bad_frame"),
        ('{"type": "message", "id": "a", "text": 5}', "bad_frame"),
        ('{"type": "hello", "session": "again"}', "bad_frame"),
        ('{"type": "attachment", "id": "a", "upload": "u"}', "not_supported"),
        ('{"type": "survey", "id": "a", "seq": 1, "score": 9}', "not_supported"),
    ],
)
async def test_a_bad_frame_is_answered_and_the_socket_lives(house: House, raw: str, code: str) -> None:
    customer = await house.customer()
    await customer.socket.send_str(raw)
    error = await customer.expects("error")
    assert (error["code"], error["then"]) == (code, "drop")
    await customer.says("still here")


async def test_a_binary_frame(house: House) -> None:
    customer = await house.customer()
    await customer.socket.send_bytes(b'{"type": "ping"}')
    assert (await customer.expects("error"))["code"] == "bad_frame"


async def test_a_message_too_long(house: House) -> None:
    customer = await house.customer()
    await customer.writes("x" * (MAX_TEXT + 1), "long")
    error = await customer.expects("error")
    assert (error["code"], error["id"], error["then"]) == ("too_long", "long", "drop")


async def test_a_frame_too_long(house: House) -> None:
    customer = await house.customer()
    await customer.writes("x" * (MAX_FRAME + 1))
    assert (await customer.expects("error"))["code"] == "too_long"
    await customer.says("still here")


async def test_a_frame_beyond_all_measure(house: House) -> None:
    customer = await house.customer()
    await customer.writes("x" * (3 * MAX_FRAME))
    assert await customer.is_closed_with() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_four_thousand_and_ninety_six_emoji(any_house: House) -> None:
    customer = await any_house.customer()
    text = "😀" * MAX_TEXT
    await customer.says(text)
    await customer.hears(text)
    await any_house.works()
    assert any_house.assistant.asked[0].text == text


async def test_control_characters_nul_and_lone_surrogates(any_house: House) -> None:
    customer = await any_house.customer()
    raw = r'{"type": "message", "id": "odd", "text": "a\u0000b\ud800c\u001bd\u009f\ufffe\u202e\r\ne"}'
    await customer.socket.send_str(raw)
    await customer.expects("ack", id="odd")
    await customer.hears("ab\ufffdcd\ufffe\u202e\ne")
    await customer.socket.send_str(raw)
    assert await customer.expects("ack") == {"type": "ack", "id": "odd", "seq": 1}


async def test_a_card_number_is_masked_before_it_is_stored(house: House) -> None:
    customer = await house.customer()
    await customer.says("it is 4111 1111 1111 1111", "card")
    await customer.hears("it is [card ending 1111]")
    await customer.says("it is 4111 1111 1111 1111", "card")


async def test_script_in_a_message_stays_text(house: House) -> None:
    customer = await house.customer()
    await customer.says("<script>alert(1)</script>")
    await customer.hears("<script>alert(1)</script>")


# ------------------------------------------------------------------- floods


async def test_too_many_frames(house: House) -> None:
    customer = await house.customer()
    house.seconds.step = 0
    house.seconds.now += 100
    for _ in range(20):
        await customer.sends(type="ping")
        await customer.expects("pong")
    await customer.writes("one too many", "late")
    error = await customer.expects("error")
    assert error == {
        "type": "error",
        "id": "late",
        "code": "rate_limited",
        "message": "too many frames: wait a moment",
        "then": "retry",
        "retry_after": pytest.approx(0.1, abs=0.02),
    }
    assert house.accepted == []
    house.seconds.now += error["retry_after"]
    await customer.says("one too many", "late")


async def test_two_tabs_share_their_sessions_allowance(house: House) -> None:
    tab = await house.customer()
    other = await tab.another_tab()
    house.seconds.step = 0
    house.seconds.now += 100
    for _ in range(10):
        for customer in (tab, other):
            await customer.sends(type="ping")
            await customer.expects("pong")
    await other.sends(type="ping")
    assert (await other.expects("error"))["code"] == "rate_limited"


async def test_a_flood_closes_the_socket(house: House) -> None:
    customer = await house.customer()
    house.seconds.step = 0
    for _ in range(200):
        await customer.sends(type="ping")
    assert await customer.is_closed_with() == 4429
    # Connecting again does not wash it away.
    await customer.dials()
    await customer.sends(type="hello", session=customer.token)
    assert await customer.is_closed_with() == 4429


async def test_garbage_counts_as_frames(house: House) -> None:
    customer = await house.customer()
    house.seconds.step = 0
    for _ in range(200):
        await customer.socket.send_str("garbage")
    assert await customer.is_closed_with() == 4429


async def test_a_ninth_socket_replaces_the_oldest(house: House) -> None:
    first = await house.customer()
    tabs = [await first.another_tab() for _ in range(7)]
    await house.sockets.becomes(8)
    ninth = await first.another_tab()
    assert await first.is_closed_with() == 4409
    await ninth.says("hi")
    for tab in tabs:
        await tab.hears("hi")
    assert house.sockets.value == 8


# ------------------------------------------------------------------ readers


@asynccontextmanager
async def deaf_socket(house: House, customer: Customer) -> AsyncIterator[asyncio.StreamReader]:
    """A socket that says hello and then reads nothing at all."""
    reader, writer = await asyncio.open_connection(house.server.host, house.server.port, limit=1024)
    writer.write(
        b"GET /chat/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    hello = json.dumps({"type": "hello", "session": customer.token, "last_seq": 0}).encode()
    assert 125 < len(hello) < 65_536
    writer.write(b"\x81\xfe" + len(hello).to_bytes(2, "big") + b"\0\0\0\0" + hello)
    try:
        yield reader
    finally:
        writer.close()


async def test_a_slow_reader_is_cut_off(sqlite_store: Store) -> None:
    async with open_house(sqlite_store, config(send_seconds=0.1)) as house:
        customer = await house.customer()
        await customer.says("hi")
        await house.fills(customer, 450, "😀" * MAX_TEXT)
        await customer.hangs_up()
        await house.sockets.becomes(0)
        async with deaf_socket(house, customer):
            await house.sockets.becomes(1)
            await house.sockets.becomes(0)


async def test_a_customer_who_vanishes_is_forgotten(sqlite_store: Store) -> None:
    async with open_house(sqlite_store, config(heartbeat_seconds=0.05)) as house:
        customer = await house.customer()
        await customer.says("hi")
        async with deaf_socket(house, customer):
            await house.sockets.becomes(2)
            await house.sockets.becomes(1)


# -------------------------------------------------------------------- store


async def test_a_full_store_is_never_acknowledged(sqlite_store: Store) -> None:
    store = FlakyStore(sqlite_store)
    async with open_house(store) as house:
        customer = await house.customer()
        store.full = True
        await customer.writes("hi", "kept")
        error = await customer.expects("error")
        assert (error["code"], error["then"], error["id"]) == ("unavailable", "retry", "kept")
        assert error["retry_after"] > 0
        for verb in ("end", "cancel_queue"):
            await customer.sends(type=verb)
            assert (await customer.expects("error"))["code"] == "unavailable"
        assert house.accepted == []
        store.full = False
        await customer.says("hi", "kept")
        await customer.hears("hi")


async def test_a_disk_that_is_really_full(sqlite_store: Store) -> None:
    async with open_house(sqlite_store) as house:
        customer = await house.customer()

        def limit(pages: int) -> Any:
            return sqlite_store.write(
                lambda tx: tx.conn.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar()
            )

        await limit(1)  # SQLite raises it to what is in use
        accepted = 0
        while True:
            await customer.sends(type="message", id=f"n{accepted}", text="x" * 4000)
            frame = await customer.next()
            while frame["type"] not in ("ack", "error"):
                frame = await customer.next()
            if frame["type"] == "error":
                break
            accepted += 1
        assert (frame["code"], frame["then"], frame["id"]) == ("unavailable", "retry", f"n{accepted}")
        await limit(100_000)
        await customer.says("x" * 4000, f"n{accepted}")
        _, page = await house.get("/chat/messages?limit=200", customer.token)
        assert [m["id"] for m in page["messages"]] == [f"n{n}" for n in range(accepted + 1)]


async def test_a_store_that_is_gone_sends_newcomers_away(sqlite_store: Store) -> None:
    store = FlakyStore(sqlite_store)
    async with open_house(store) as house:
        customer = await dialled(house)
        store.gone = True
        await customer.sends(type="hello", session=customer.token)
        assert await customer.is_closed_with() == 1001
        error = customer.heard[-1]
        assert (error["code"], error["then"]) == ("unavailable", "reconnect")
        status, body, headers = await house.post("/chat/session", {})
        assert (status, body["error"]["code"]) == (503, "unavailable")
        assert int(headers["Retry-After"]) > 0


async def test_what_was_missed_while_the_store_was_gone_is_told_later(sqlite_store: Store) -> None:
    store = FlakyStore(sqlite_store)
    async with open_house(store) as house:
        customer = await house.customer()
        store.gone = True
        house.store.bus.publish(f"thread:{customer.thread}")
        await customer.sends(type="ping")
        await customer.expects("pong")
        store.gone = False
        await customer.says("hi")
        await customer.hears("hi")


# ------------------------------------------------------- lost hints and ends


class DeafBus(LocalBus):
    """Loses every wake-up, as another process without a shared bus would."""

    deaf = False

    def publish(self, topic: str, note: Any = None) -> None:
        if not self.deaf:
            super().publish(topic, note)


async def test_lost_wake_ups_are_found_by_the_sweep(sqlite_store: Store) -> None:
    bus = sqlite_store.bus = DeafBus()
    async with open_house(sqlite_store) as house:
        customer = await house.customer()
        bystander = await house.customer()
        bus.deaf = True
        await customer.says("human")
        await house.works()
        assert await customer.everything() == []
        await house.hub.sweep()
        await customer.hears("queued: customer_asked")
        await customer.expects("control", control="queue")
        await house.resolves(customer)
        await house.hub.sweep()
        await customer.expects("control", control="closed")
        assert await bystander.everything() == []


async def test_a_server_that_goes_away_says_so(sqlite_store: Store) -> None:
    async with open_house(sqlite_store) as house:
        customer = await house.customer()
        newcomer = await dialled(house)
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            codes = [group.create_task(one.is_closed_with()) for one in (customer, newcomer)]
            group.create_task(house.hub.close(1))
        assert [task.result() for task in codes] == [1001, 1001]
        late = await dialled(house)
        assert await late.is_closed_with() == 1001


class BrokenBus(LocalBus):
    """Its subscriptions break once `broken` is set."""

    broken = False

    def subscribe(self, *topics: str) -> LocalSubscription:
        bus = self

        class Subscription(LocalSubscription):
            async def wait(self, timeout: float | None = None) -> list[Mapping[str, Any]]:
                notes = await super().wait(timeout)
                if bus.broken:
                    raise OSError("the bus is gone")
                return notes

        subscription = Subscription(self, topics)
        for topic in topics:
            self._listeners.setdefault(topic, set()).add(subscription)
        return subscription


async def test_a_socket_that_can_no_longer_hear_sends_its_client_away(sqlite_store: Store) -> None:
    bus = sqlite_store.bus = BrokenBus()
    async with open_house(sqlite_store) as house:
        customer = await house.customer()
        bus.broken = True
        await customer.writes("hi")
        assert await customer.is_closed_with() == 1001


async def test_nothing_a_customer_wrote_is_logged(house: House, caplog: Any, capsys: Any) -> None:
    customer = await house.customer()
    await customer.says("my secret word")
    await customer.socket.send_str('{"type": "message", "id": "a", "text": {"my secret word": 1}}')
    await customer.expects("error")
    await customer.socket.send_str("my secret word")
    error = await customer.expects("error")
    assert "secret" not in error["message"]
    assert "secret word" not in caplog.text + "".join(capsys.readouterr())


async def test_what_breaks_unforeseen_is_not_acknowledged(sqlite_store: Store, capsys: Any) -> None:
    store = FlakyStore(sqlite_store)
    async with open_house(store) as house:
        customer = await house.customer()

        async def broken(job: Job[T]) -> T:
            raise RuntimeError("INSERT ... [parameters: ('my secret word',)]")

        healthy, store.write = store.write, broken  # type: ignore[method-assign]
        await customer.writes("my secret word", "a")
        error = await customer.expects("error")
        assert (error["code"], error["then"]) == ("unavailable", "retry")
        store.write = healthy  # type: ignore[method-assign]
        await customer.says("my secret word", "a")
    assert "secret" not in "".join(capsys.readouterr())
