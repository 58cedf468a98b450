"""The landing page and the demo shop: whole, for this machine alone, and without a secret."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from frontdoor import pages
from frontdoor.app import _identity_rule
from frontdoor.settings import Settings, SettingsError

PATHS = ("/", "/demo/", "/pages/shop.css", "/pages/landing.js", "/status.json")
SECRET = "a secret of thirty-two characters"

Client = TestClient[web.Request, web.Application]


def settings(home: Path, **more: object) -> Settings:
    return Settings(_env_file=None, home=home, **more)  # type: ignore[call-arg, arg-type]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async def probe() -> Mapping[str, str]:
        return {"Front door": "ready", "Assistant": "starting"}

    app = web.Application()
    pages.setup(app, settings(tmp_path), probe)
    async with TestClient(TestServer(app)) as opened:
        yield opened


@pytest.mark.parametrize("path", PATHS)
async def test_pages_are_for_this_machine_alone(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 200
    for header in (
        {"X-Forwarded-For": "10.0.0.1"},
        {"Host": "chat.example.com"},
        {"Forwarded": "for=10.0.0.1"},
    ):
        assert (await client.get(path, headers=header)).status == 404


@pytest.mark.parametrize("path", ["/", "/demo/"])
async def test_pages_allow_nothing_inline_and_nothing_from_elsewhere(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["Content-Security-Policy"] == pages.CONTENT_SECURITY_POLICY
    text = await answer.text()
    assert " style=" not in text
    assert " onclick=" not in text
    assert "<script>" not in text
    assert "https://" not in text


async def test_every_file_that_a_page_names_is_there(client: Client) -> None:
    for path in ("/", "/demo/"):
        text = await (await client.get(path)).text()
        for name in {part.split('"')[0] for part in text.split('"/pages/')[1:]}:
            assert (await client.get(f"/pages/{name}")).status == 200


@pytest.mark.parametrize("name", ["__init__.py", "shop.html", "..%2fapp.py", ".env", "nothing.css"])
async def test_nothing_else_is_handed_out(client: Client, name: str) -> None:
    assert (await client.get(f"/pages/{name}")).status == 404


async def test_the_password_stays_in_its_file(client: Client, tmp_path: Path) -> None:
    answer = await (await client.get("/status.json")).json()
    assert answer == {
        "parts": [{"name": "Front door", "state": "ready"}, {"name": "Assistant", "state": "starting"}],
        "demo_agent": None,
    }
    kept = tmp_path / "demo-agent.json"
    kept.write_text(json.dumps({"email": "demo@foyer.example", "password": "hunter2"}))
    text = await (await client.get("/status.json")).text()
    assert "hunter2" not in text
    assert json.loads(text)["demo_agent"] == {"email": "demo@foyer.example", "kept_in": str(kept)}
    kept.write_text("[]")
    assert (await (await client.get("/status.json")).json())["demo_agent"] is None


async def test_the_shop_is_found_without_its_slash(client: Client) -> None:
    answer = await client.get("/demo", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (308, "/demo/")


# -------------------------------------------------- settings of signed identity


@pytest.mark.parametrize(
    "given",
    [
        {"chat_identity_algorithm": "HS256"},
        {"chat_identity_key": SecretStr(SECRET)},
        {
            "chat_identity_algorithm": "HS256",
            "chat_identity_key": SECRET,
            "chat_identity_key_file": "key.pem",
        },
    ],
)
def test_an_algorithm_goes_with_one_key(tmp_path: Path, given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="FOYER_CHAT_IDENTITY_ALGORITHM goes with one of"):
        settings(tmp_path, **given)


def test_the_key_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET + "\n")
    rule = _identity_rule(
        settings(tmp_path, chat_identity_algorithm="HS256", chat_identity_key_file=tmp_path / "key")
    )
    assert rule is not None
    assert (rule.key, rule.audience) == (SECRET, "foyer")
    assert _identity_rule(settings(tmp_path)) is None


def test_a_key_that_does_not_do_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="FOYER_CHAT_IDENTITY_KEY_FILE: can't read"):
        _identity_rule(
            settings(tmp_path, chat_identity_algorithm="RS256", chat_identity_key_file=tmp_path / "no")
        )
    with pytest.raises(SettingsError, match="needs the site's public key") as caught:
        _identity_rule(settings(tmp_path, chat_identity_algorithm="RS256", chat_identity_key=SECRET))
    assert SECRET not in str(caught.value)
