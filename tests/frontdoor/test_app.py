"""The application as a whole: its edge, its operators' addresses, and what it publishes about itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import validate

from conversations.store import Store
from frontdoor import openapi
from frontdoor.app import Parts, build
from frontdoor.metrics import Metrics
from frontdoor.settings import Settings, load_settings
from tests.conversations.world import ScriptedAssistant

Client = TestClient[web.Request, web.Application]


def _settings(home: Path, **more: Any) -> Settings:
    return load_settings(home=home, secret="s" * 32, chat_app_key="app-key", **more)


async def _client(settings: Settings, store: Store) -> Client:
    app = build(Parts(settings, store, ScriptedAssistant(), Metrics()))
    client = TestClient(TestServer(app, host="127.0.0.1"))
    await client.start_server()
    return client


@pytest.fixture
async def client(sqlite_store: Store, tmp_path: Path) -> AsyncIterator[Client]:
    made = await _client(_settings(tmp_path), sqlite_store)
    yield made
    await made.close()


def test_the_openapi_description_is_valid() -> None:
    validate(openapi.describe())


async def test_every_address_for_programs_is_described(client: Client) -> None:
    app = client.server.app  # type: ignore[attr-defined]
    described = openapi.describe()["paths"]
    served = {
        route.resource.canonical
        for route in app.router.routes()
        if route.resource is not None and route.method in ("GET", "POST", "PUT", "DELETE")
    }
    programs = {
        p for p in served if p.startswith(("/chat/", "/desk/api/", "/healthz", "/readyz", "/metrics"))
    }
    programs -= {"/chat/widget.js", "/desk/api/{rest:.*}"}
    plain = {_without_patterns(path) for path in programs}
    assert plain == {p for p in described if p != "/desk/ws"}


def _without_patterns(path: str) -> str:
    return "{id}".join(part.split("}")[-1] for part in path.split("{")) if "{" in path else path


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/healthz", 405, "method_not_allowed"),
        ("POST", "/chat/session", 403, None),
        ("GET", "/desk/api/state", 401, None),
    ],
)
async def test_every_refusal_has_the_shape_of_the_protocol(
    client: Client, method: str, path: str, status: int, code: str | None
) -> None:
    response = await client.request(method, path)
    body = await response.json()
    assert response.status == status
    assert set(body) == {"error"}
    assert body["error"]["message"]
    assert code in (None, body["error"]["code"])


async def test_answers_carry_the_headers_that_guard_a_browser(client: Client) -> None:
    for path in ("/", "/healthz", "/nowhere"):
        response = await client.get(path)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] in ("DENY", "SAMEORIGIN")


async def test_the_landing_page_is_for_this_machine_only(client: Client) -> None:
    assert (await client.get("/")).status == 200
    for headers in (
        {"Host": "evil.example"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
    ):
        assert (await client.get("/", headers=headers)).status == 404


async def test_metrics_are_for_loopback_or_for_the_token(sqlite_store: Store, tmp_path: Path) -> None:
    open_to_loopback = await _client(_settings(tmp_path), sqlite_store)
    assert (await open_to_loopback.get("/metrics")).status == 200
    assert (await open_to_loopback.get("/metrics", headers={"X-Forwarded-For": "10.0.0.1"})).status == 401
    await open_to_loopback.close()
    guarded = await _client(_settings(tmp_path, metrics_token="t0ken"), sqlite_store)
    statuses = [
        (await guarded.get("/metrics", headers=headers)).status
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer \udcff"},
            {"Authorization": "Bearer t0ken"},
        )
    ]
    assert statuses == [401, 401, 401, 200]
    await guarded.close()


@pytest.mark.parametrize(
    ("trusted", "headers", "local"),
    [
        ((), {}, True),
        ((), {"X-Forwarded-For": "127.0.0.1"}, False),
        (("127.0.0.0/8",), {"X-Forwarded-For": "203.0.113.9"}, False),
        (("127.0.0.0/8",), {"X-Forwarded-For": "not an address"}, False),
    ],
)
async def test_forwarding_headers_never_make_a_caller_local(
    sqlite_store: Store, tmp_path: Path, trusted: tuple[str, ...], headers: Mapping[str, str], local: bool
) -> None:
    client = await _client(_settings(tmp_path, trusted_proxies=trusted), sqlite_store)
    assert ((await client.get("/", headers=headers)).status == 200) is local
    await client.close()


async def test_readiness_says_what_is_missing(client: Client, sqlite_store: Store) -> None:
    ready = await client.get("/readyz")
    assert (ready.status, (await ready.json())["ready"]) == (200, True)
    alive = await client.get("/healthz")
    assert alive.status == 200


async def test_requests_are_counted_by_pattern_and_never_by_what_a_caller_chose(client: Client) -> None:
    await client.get("/desk/api/handoffs/secret-id")
    await client.get("/some/secret/path")
    text = await (await client.get("/metrics")).text()
    assert "secret" not in text
    assert 'route="unmatched"' in text


async def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    response = await client.post(
        "/chat/session",
        data=b"x" * 400_000,
        headers={"X-Foyer-App": "app-key", "Content-Type": "application/json"},
    )
    assert response.status == 413
