from __future__ import annotations

import stat
from pathlib import Path

import pytest

from frontdoor.settings import ROOT, Settings, SettingsError, load_settings, prepare_home


@pytest.fixture(autouse=True)
def no_foreign_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FOYER_{name.upper()}", raising=False)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_defaults_follow_from_home_and_port(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "x", port=9000)
    assert settings.database_url == f"sqlite:///{tmp_path}/x/foyer.db"
    assert settings.accounts_url == f"sqlite:///{tmp_path}/x/accounts.db"
    assert settings.public_url == "http://127.0.0.1:9000"
    assert settings.chat_origins == ("http://127.0.0.1:9000", "http://localhost:9000")


def test_a_relative_home_counts_from_the_project_wherever_one_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FOYER_HOME", "state/one")
    monkeypatch.chdir(tmp_path)
    assert load_settings().home == ROOT / "state" / "one"


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOYER_ASSISTANT_URL", "http://127.0.0.1:1/, http://127.0.0.1:2")
    monkeypatch.setenv("FOYER_TRUSTED_PROXIES", "10.0.0.7,fd00::/8")
    settings = load_settings()
    assert settings.assistant_url == ("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert settings.trusted_proxies == ("10.0.0.7/32", "fd00::/8")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("FOYER_PORT", "many", "integer"),
        ("FOYER_PUBLIC_URL", "example.org", "http://host"),
        ("FOYER_CHAT_ORIGINS", "https://example.org/page", "origin"),
        ("FOYER_TRUSTED_PROXIES", "everyone", "everyone"),
        ("FOYER_DEMO", "perhaps", "'auto', 'on' or 'off'"),
        ("FOYER_ACTION_TIMEOUT", "9", "FOYER_ACTION_TIMEOUT < FOYER_ASSISTANT_TIMEOUT"),
        ("FOYER_TURN_WORKERS", "0", "greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert name in str(caught.value)
    assert told in str(caught.value)
    assert "default factory" not in str(caught.value)


def test_a_short_secret_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOYER_SECRET", "hunter2")
    with pytest.raises(SettingsError, match="FOYER_SECRET: needs at least 32 characters") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_secrets_and_addresses_with_passwords_are_not_in_the_representation(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, database_url="postgresql://me:hunter2@host/db", secret="x" * 40)
    assert "hunter2" not in repr(settings)
    assert "xxxx" not in repr(settings)


def test_the_home_and_what_is_kept_there_are_private(tmp_path: Path) -> None:
    settings = prepare_home(load_settings(home=tmp_path / "a" / "home"))
    assert mode(settings.home) == 0o700
    kept = sorted(path.name for path in settings.home.iterdir())
    assert kept == ["assistant.token", "chat-app.key", "secret.key"]
    assert {mode(settings.home / name) for name in kept} == {0o600}


def test_generated_secrets_stay_and_given_ones_win(tmp_path: Path) -> None:
    first = prepare_home(load_settings(home=tmp_path))
    second = prepare_home(load_settings(home=tmp_path))
    assert first.secret == second.secret
    assert len(first.secret.get_secret_value()) >= 32
    assert first.secret != first.assistant_token != first.chat_app_key
    given = prepare_home(load_settings(home=tmp_path, chat_app_key="mine"))
    assert given.chat_app_key.get_secret_value() == "mine"


def test_an_unusable_home_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="FOYER_HOME"):
        prepare_home(load_settings(home=tmp_path / "file"))


@pytest.mark.parametrize(
    ("public_url", "demo", "wanted"),
    [
        ("http://127.0.0.1:8040", "auto", True),
        ("http://localhost:8040", "auto", True),
        ("https://chat.example.org", "auto", False),
        ("https://chat.example.org", "on", True),
        ("http://127.0.0.1:8040", "off", False),
        ("http://127.0.0.1.example.org", "auto", False),
    ],
)
def test_demo_agent_only_where_nobody_else_comes(public_url: str, demo: str, wanted: bool) -> None:
    assert load_settings(public_url=public_url, demo=demo).demo_enabled is wanted
