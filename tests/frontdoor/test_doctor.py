from __future__ import annotations

import asyncio
import hashlib
import socket
from pathlib import Path

import pytest

from frontdoor import doctor, setup
from frontdoor.doctor import Finding
from frontdoor.settings import Settings, load_settings, prepare_home
from frontdoor.up import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home", port=free_port())


def wrong(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.remedy]


def test_a_home_that_others_can_read_is_found(settings: Settings) -> None:
    assert wrong(list(doctor.home(settings)))[0].remedy == "./foyer up makes it"
    prepare_home(settings)
    assert not wrong(list(doctor.home(settings)))
    (settings.home / "secret.key").chmod(0o644)
    assert "chmod" in wrong(list(doctor.home(settings)))[0].remedy


def test_a_misspelt_setting_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not wrong(list(doctor.settings_given(settings)))
    monkeypatch.setenv("FOYER_DATABASEURL", "x")
    assert "FOYER_DATABASEURL" in wrong(list(doctor.settings_given(settings)))[0].state


def test_a_database_without_tables_is_found(settings: Settings) -> None:
    prepared = prepare_home(settings)
    assert "./foyer migrate" in wrong(list(doctor.database(prepared)))[0].remedy
    asyncio.run(setup.migrate(prepared))
    assert not wrong(list(doctor.database(prepared)))


def test_a_database_that_does_not_answer_is_found(tmp_path: Path) -> None:
    url = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/foyer"
    finding = wrong(list(doctor.database(load_settings(home=tmp_path, database_url=url))))[0]
    assert "can't be reached" in finding.state
    assert "hunter2" not in finding.state + finding.remedy


def test_a_port_that_somebody_else_has_is_found(settings: Settings) -> None:
    assert not wrong(list(doctor.running(settings)))
    with socket.create_server(("127.0.0.1", settings.port)):
        assert "--port" in wrong(list(doctor.running(settings)))[0].remedy


def test_looking_changes_nothing(settings: Settings) -> None:
    said: list[str] = []
    assert doctor.examine(settings, said.append) == 1
    assert not settings.home.exists()
    assert any("remedy" in line for line in said)


def test_a_stamp_is_compared_with_its_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("one")
    digest = hashlib.sha256(b"one").hexdigest()
    assert doctor._is_stamp_of(f"{digest}  - /some/folder", lock)
    lock.write_text("two")
    assert not doctor._is_stamp_of(f"{digest}  - /some/folder", lock)
