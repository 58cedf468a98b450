from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from frontdoor.locks import held
from frontdoor.settings import Settings, load_settings, prepare_home
from frontdoor.supervise import Child
from frontdoor.up import (
    CannotError,
    Plan,
    check_port,
    free_port,
    make_plan,
    read_run_file,
    run_step,
    supervise,
    up,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return prepare_home(load_settings(home=tmp_path / "home", port=free_port()))


def child(plan: Plan, name: str) -> Child:
    return next(child for child in plan.children if child.name == name)


def test_everything_is_started_and_the_front_door_knows_where_the_rest_is(settings: Settings) -> None:
    plan = make_plan(settings)
    assert [child.name for child in plan.children] == ["actions", "assistant", "front door"]
    front_door = child(plan, "front door").environment
    assert front_door["FOYER_ASSISTANT_URL"] == f"http://127.0.0.1:{child(plan, 'assistant').port}"
    assert front_door["FOYER_HOME"] == str(settings.home)
    assistant = child(plan, "assistant").environment
    assert assistant["FOYER_ACTIONS_URL"] == f"http://127.0.0.1:{child(plan, 'actions').port}/webhook"
    assert assistant["FOYER_ASSISTANT_TOKEN"] == front_door["FOYER_ASSISTANT_TOKEN"] != ""
    assert assistant["RASA_TELEMETRY_ENABLED"] == "false"


def test_children_hold_only_the_secrets_that_they_need(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOYER_DATABASE_URL", "postgresql://me:hunter2@host/db")
    monkeypatch.setenv("FOYER_SECRET", "k" * 40)
    plan = make_plan(settings)
    for name in ("actions", "assistant"):
        environment = child(plan, name).environment
        assert not {"FOYER_DATABASE_URL", "FOYER_SECRET", "FOYER_CHAT_APP_KEY"} & environment.keys()
    assert "FOYER_ASSISTANT_TOKEN" not in child(plan, "actions").environment
    assert child(plan, "front door").environment["FOYER_SECRET"] == "k" * 40


def test_what_runs_elsewhere_is_not_started(tmp_path: Path) -> None:
    elsewhere = load_settings(home=tmp_path, assistant_url="http://10.0.0.1:5005,http://10.0.0.2:5005")
    plan = make_plan(elsewhere)
    assert [child.name for child in plan.children] == ["front door"]
    assert plan.children[0].environment["FOYER_ASSISTANT_URL"] == "http://10.0.0.1:5005,http://10.0.0.2:5005"
    assert [
        c.name for c in make_plan(load_settings(home=tmp_path, actions_url="http://10.0.0.1:1/w")).children
    ] == [
        "assistant",
        "front door",
    ]


def test_a_second_up_on_the_same_home_is_refused_by_name(settings: Settings) -> None:
    said: list[str] = []
    with held(settings.home / "up.lock", port=81, url="http://127.0.0.1:81"):
        assert up(settings, said.append) == 1
    assert f"process {os.getpid()}" in said[0]
    assert "http://127.0.0.1:81" in said[0]


def test_up_beside_a_front_door_that_serves_the_home_is_refused(settings: Settings) -> None:
    said: list[str] = []
    with held(settings.home / "serve.lock", port=81):
        assert up(settings, said.append) == 1
    assert "already serves" in said[0]


def test_a_port_that_is_taken_is_said_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotError, match=f"127.0.0.1:{port}.*--port"):
            check_port("127.0.0.1", port)


async def test_a_run_describes_itself_while_it_lasts(settings: Settings, tmp_path: Path) -> None:
    waits = (sys.executable, "-c", "import signal; signal.pause()")
    plan = Plan(
        (Child("helper", waits, dict(os.environ), tmp_path, tmp_path / "log", port=81),),
        "http://127.0.0.1:81",
    )
    stop, said = asyncio.Event(), asyncio.Queue[str]()
    running = asyncio.create_task(supervise(settings, plan, said.put_nowait, stop, asyncio.Event()))
    while "Foyer is ready: http://127.0.0.1:81/" not in await said.get():
        pass
    run_file = settings.home / "run.json"
    with held(settings.home / "up.lock"):
        run = read_run_file(settings.home)
    assert run is not None
    assert (run["pid"], run["ready"], run["url"]) == (os.getpid(), True, "http://127.0.0.1:81")
    os.kill(run["children"]["helper"]["pid"], 0)
    assert stat.S_IMODE(run_file.stat().st_mode) == 0o600
    assert "token" not in json.dumps(run)
    stop.set()
    await running
    assert not run_file.exists()


def test_a_run_file_that_a_killed_run_left_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"pid": 1, "url": "http://127.0.0.1:81"}')
    assert read_run_file(tmp_path) is None
    with held(tmp_path / "up.lock"):
        assert read_run_file(tmp_path) == {"pid": 1, "url": "http://127.0.0.1:81"}
        (tmp_path / "run.json").write_text("not json")
        assert read_run_file(tmp_path) is None


async def test_a_step_is_ended_when_stopped() -> None:
    stop = asyncio.Event()
    step = asyncio.create_task(
        run_step((sys.executable, "-c", "import signal; signal.pause()"), dict(os.environ), stop)
    )
    stop.set()
    assert await step < 0
    assert (
        await run_step((sys.executable, "-c", "raise SystemExit(4)"), dict(os.environ), asyncio.Event()) == 4
    )
