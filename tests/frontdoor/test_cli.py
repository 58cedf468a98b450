from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from conversations.store import open_store
from frontdoor import setup, tools
from frontdoor.cli import app
from frontdoor.settings import ROOT, load_settings, prepare_home
from handoff import agents


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def foyer(*words: str | Path, typed: str = "") -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=typed, prog_name="./foyer")


def test_help_says_what_to_do_first() -> None:
    shown = foyer("--help")
    assert shown.exit_code == 0
    assert "./foyer up" in shown.output


def test_an_unknown_command_or_option_is_something_it_cannot_do() -> None:
    assert foyer("dance").exit_code == 2
    assert foyer("up", "--port", "99999").exit_code == 2


def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("FOYER_TURN_WORKERS", "none")
    refused = foyer("migrate", "--home", home)
    assert refused.exit_code == 2
    assert "FOYER_TURN_WORKERS" in refused.output


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://me:hunter2@host/db", "sqlite://", "postgresql://me:hunter2@host:here/db"]
)
def test_an_address_of_no_database_is_named(monkeypatch: pytest.MonkeyPatch, home: Path, url: str) -> None:
    monkeypatch.setenv("FOYER_DATABASE_URL", url)
    refused = foyer("migrate", "--home", home)
    assert refused.exit_code == 2
    assert "FOYER_DATABASE_URL" in refused.output
    assert "hunter2" not in refused.output


@pytest.mark.parametrize("command", ["migrate", "serve", "agent"])
@pytest.mark.parametrize(
    "url",
    ["postgresql://me:hunter2@127.0.0.1:1/db", "sqlite:////proc/none/foyer.db", "a file of something else"],
)
def test_a_database_that_cannot_be_used_is_said_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path, command: str, url: str
) -> None:
    (tmp_path / "no.db").write_text("this is no database " * 20)
    given = url if "://" in url else f"sqlite:///{tmp_path}/no.db"
    monkeypatch.setenv("FOYER_DATABASE_URL", given)
    more = ("add", "ann@example.org", "--name", "Ann") if command == "agent" else ()
    refused = foyer(command, *more, "--home", home)
    assert (refused.exit_code, type(refused.exception)) == (2, SystemExit)
    assert "database" in refused.output
    assert "can't listen" not in refused.output
    assert "hunter2" not in refused.output


def test_an_agent_is_added_and_gets_a_new_password(home: Path) -> None:
    assert foyer("migrate", "--home", home).exit_code == 0
    words = ("agent", "add", "ann@example.org", "--name", "Ann", "--role", "supervisor", "--queue", "billing")
    added = foyer(
        *words, "--skill", "refunds:4", "--language", "en", "--home", home, typed="correct horse battery\n"
    )
    assert added.exit_code == 0, added.output
    assert "correct horse" not in added.output
    again = foyer(*words, "--home", home)
    assert again.exit_code == 1
    assert "already" in again.output
    changed = foyer("agent", "password", "ann@example.org", "--home", home)
    assert changed.exit_code == 0
    assert "has a new password: " in changed.output

    async def read() -> agents.Agent:
        store = await open_store(f"sqlite:///{home}/foyer.db")
        try:
            return await store.read(lambda tx: agents.by_email(tx, "ann@example.org"))
        finally:
            await store.close()

    ann = asyncio.run(read())
    assert (ann.name, ann.roles, ann.queues, ann.skills) == (
        "Ann",
        ("supervisor",),
        ("billing",),
        {"refunds": 4},
    )


def test_an_agent_that_can_not_be_is_refused_with_the_reason(home: Path) -> None:
    foyer("migrate", "--home", home)
    assert foyer("agent", "add", "nobody", "--name", "N", "--home", home).exit_code == 1
    assert foyer("agent", "password", "nobody@example.org", "--home", home).exit_code == 1
    assert (
        foyer("agent", "add", "n@example.org", "--name", "N", "--skill", "a:b", "--home", home).exit_code == 2
    )


def test_a_database_that_was_not_migrated_is_said_with_the_remedy(home: Path) -> None:
    refused = foyer("agent", "add", "ann@example.org", "--name", "Ann", "--home", home)
    assert refused.exit_code == 2
    assert "./foyer migrate" in refused.output


def test_the_demo_agent_is_made_once_and_kept_privately(home: Path) -> None:
    settings = prepare_home(load_settings(home=home))
    asyncio.run(setup.migrate(settings))
    made = asyncio.run(setup.make_demo_agent(settings))
    kept = home / "demo-agent.json"
    assert made == json.loads(kept.read_text())
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert asyncio.run(setup.make_demo_agent(settings)) is None


def test_no_demo_agent_at_a_public_address(home: Path) -> None:
    settings = prepare_home(load_settings(home=home, public_url="https://chat.example.org"))
    assert asyncio.run(setup.make_demo_agent(settings)) is None
    assert not (home / "demo-agent.json").exists()


def test_benchmarks_are_named_when_one_is_unknown() -> None:
    assert foyer("bench").exit_code == 0
    assert foyer("bench", "no-such").exit_code == 2


def test_paths_of_tests_go_where_they_belong_and_options_to_both() -> None:
    options, main, bot = tools.split_test_arguments(
        ["-q", "-k", "tests", "tests/frontdoor/test_cli.py::test_x", "bot/tests", "--maxfail=1"],
        ROOT / "docs",
    )
    assert options == ["-q", "-k", "tests", "--maxfail=1"]
    assert main == [f"{ROOT}/tests/frontdoor/test_cli.py::test_x"]
    assert bot == [f"{ROOT}/bot/tests"]


def test_paths_of_tests_count_from_where_one_stands() -> None:
    assert tools.split_test_arguments(["test_cli.py"], Path(__file__).parent)[1] == [
        str(Path(__file__).resolve())
    ]


def test_every_check_has_a_remedy(home: Path) -> None:
    found = tools.checks(load_settings(home=home))
    assert {"types (mypy)", "directions of imports", "training data"} <= {check.name for check in found}
    assert all(check.remedy for check in found)
