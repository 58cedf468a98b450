"""`./foyer up`: everything on one machine. Prepares what is missing, then supervises actions, Rasa and front door."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frontdoor import frontend
from frontdoor.locks import HeldError, held, holder
from frontdoor.settings import PREFIX, ROOT, Settings, write_private
from frontdoor.supervise import Child, Supervisor

BOT_PYTHON = ROOT / "bot" / ".venv" / "bin" / "python"
Say = Callable[[str], None]


class CannotError(Exception):
    """Something outside must change first; the text says what."""


@dataclass(frozen=True)
class Plan:
    """The children of one run and where each of them listens."""

    children: tuple[Child, ...]
    url: str


def local_url(settings: Settings) -> str:
    """Address under which this machine reaches the front door."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://{host}:{settings.port}"


def child_environment(**own: str) -> dict[str, str]:
    """The caller's environment for a child: without foreign Python settings, and of ours only what is ``own``.

    So neither Rasa nor the actions ever hold the signing key or the address of the conversations' database.
    """
    foreign = {"VIRTUAL_ENV", "PYENV_VERSION", "PYTHONHOME"}
    kept = {k: v for k, v in os.environ.items() if k not in foreign and not k.startswith(PREFIX)}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **own}


def bot_environment(settings: Settings, actions_url: str | None = None) -> dict[str, str]:
    """Environment of Rasa and of training."""
    return child_environment(
        RASA_TELEMETRY_ENABLED="false",
        SANIC_HOST="127.0.0.1",
        FOYER_ASSISTANT_TOKEN=settings.assistant_token.get_secret_value(),
        FOYER_ACTIONS_URL=actions_url or settings.actions_url or "http://127.0.0.1:5055/webhook",
        FOYER_ACTION_TIMEOUT=str(settings.action_timeout),
        FOYER_LOG_LEVEL=settings.log_level,
    )


def actions_environment(settings: Settings) -> dict[str, str]:
    """Environment of the action server and of what looks at the sample accounts."""
    return child_environment(
        SANIC_HOST="127.0.0.1",
        FOYER_HOME=str(settings.home),
        FOYER_ACCOUNTS_URL=settings.accounts_url,
        FOYER_LOG_LEVEL=settings.log_level,
    )


def rasa_command(port: int) -> tuple[str, ...]:
    """Stock `rasa run` on a loopback port, with the project's files; to be run in the project's root."""
    files = ("--model", "bot/models", "--endpoints", "endpoints.yml", "--credentials", "credentials.yml")
    where = ("--interface", "127.0.0.1", "--port", str(port))
    return (str(BOT_PYTHON), "-P", "-m", "rasa", "run", *where, *files)


def make_plan(settings: Settings) -> Plan:
    """What to start: the front door always; Rasa and the actions unless addresses of others are set."""
    log = settings.home / "logs"
    url = local_url(settings)
    children: list[Child] = []
    actions_url = settings.actions_url
    assistant_urls = settings.assistant_url
    if not assistant_urls:
        if actions_url is None:
            port = free_port()
            actions_url = f"http://127.0.0.1:{port}/webhook"
            children.append(
                Child(
                    "actions",
                    (sys.executable, "-P", "-m", "actions", "--port", str(port)),
                    actions_environment(settings),
                    ROOT,
                    log / "actions.log",
                    f"http://127.0.0.1:{port}/health",
                    port,
                )
            )
        port = free_port()
        assistant_urls = (f"http://127.0.0.1:{port}",)
        children.append(
            Child(
                "assistant",
                rasa_command(port),
                bot_environment(settings, actions_url),
                ROOT,
                log / "assistant.log",
                f"http://127.0.0.1:{port}/webhooks/foyer/health",
                port,
            )
        )
    # The settings themselves come again from the environment and .env; only what this run decides is added.
    own = {k: v for k, v in os.environ.items() if k.startswith(PREFIX)}
    own |= {
        "FOYER_HOME": str(settings.home),
        "FOYER_PORT": str(settings.port),
        "FOYER_ASSISTANT_URL": ",".join(assistant_urls),
        "FOYER_ASSISTANT_TOKEN": settings.assistant_token.get_secret_value(),
    }
    children.append(
        Child(
            "front door",
            (sys.executable, "-P", "-m", "frontdoor", "serve"),
            child_environment(**own),
            ROOT,
            log / "front-door.log",
            f"{url}/readyz",
            settings.port,
        )
    )
    return Plan(tuple(children), url)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(host: str, port: int) -> None:
    """Raises CannotError when ``port`` can't be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotError(
                f"can't listen on {host}:{port}: {error.strerror}. Remedy: stop what listens there, or choose another"
                " port: ./foyer up --port N"
            ) from error


def up(settings: Settings, say: Say) -> int:
    """Runs everything until Ctrl-C or SIGTERM; gives the exit code. ``settings`` have been prepared."""
    try:
        with held(settings.home / "up.lock", port=settings.port, url=local_url(settings)):
            serving = holder(settings.home / "serve.lock")
            if serving is not None:
                say(
                    f"a front door (process {serving.get('pid')}) already serves {settings.home}: stop it first"
                )
                return 1
            check_port(settings.host, settings.port)
            return asyncio.run(_up(settings, say))
    except HeldError as error:
        note = error.note
        say(f"already up: process {note.get('pid')} runs on {settings.home}, at {note.get('url')}")
        say("stop it there (Ctrl-C), or start beside it: ./foyer up --home OTHER --port N")
        return 1


async def _up(settings: Settings, say: Say) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            hurry.set()
        else:
            say("stopping (once more: at once)")
            stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, signalled)
    demo = await _prepare(settings, say, stop)
    if stop.is_set():
        return 0
    plan = make_plan(settings)
    await supervise(settings, plan, say, stop, hurry, demo=demo)
    say("stopped")
    return 0


async def supervise(
    settings: Settings,
    plan: Plan,
    say: Say,
    stop: asyncio.Event,
    hurry: asyncio.Event,
    *,
    demo: Mapping[str, str] | None = None,
) -> None:
    """Keeps the plan's children until ``stop``; ``run.json`` in the home tells of them meanwhile."""
    run_file = settings.home / "run.json"
    started = datetime.now(UTC).isoformat()

    def write_run_file() -> None:
        write_private(run_file, json.dumps(_run(plan, supervisor, started), indent=2) + "\n")

    supervisor = Supervisor(plan.children, say=say, changed=write_run_file)
    announcer = asyncio.create_task(_announce(settings, plan, supervisor, say, demo))
    say(f"starting {', '.join(child.name for child in plan.children)}")
    try:
        await supervisor.run(stop, hurry)
    finally:
        announcer.cancel()
        run_file.unlink(missing_ok=True)


def _run(plan: Plan, supervisor: Supervisor, started: str) -> dict[str, Any]:
    states = supervisor.states
    return {
        "pid": os.getpid(),
        "url": plan.url,
        "started_at": started,
        "ready": all(state.ready for state in states.values()),
        "children": {
            child.name: {
                "pid": states[child.name].pid,
                "port": child.port,
                "ready": states[child.name].ready,
                "restarts": states[child.name].restarts,
                "log": str(child.log),
            }
            for child in plan.children
        },
    }


async def _announce(
    settings: Settings, plan: Plan, supervisor: Supervisor, say: Say, demo: Mapping[str, str] | None
) -> None:
    await supervisor.all_ready()
    home = "" if settings.home == ROOT / "var" else f" --home '{settings.home}'"
    say(f"Foyer is ready: {plan.url}/")
    say(f"  a shop with a chat  {plan.url}/demo/")
    say(f"  chat in a terminal  ./foyer chat{home}   (in another one)")
    say(f"  customers to play   ./foyer accounts sample{home}")
    say(f"  the agents' desk    {plan.url}/desk/")
    kept = settings.home / "demo-agent.json"
    if demo is not None:
        say(
            f"  demo agent          {demo['email']}   password {demo['password']}   (shown once, kept in {kept})"
        )
    elif kept.exists():
        say(f"  demo agent          in {kept}")
    say(f"  logs                {settings.home / 'logs'}")
    say("Ctrl-C ends everything.")


async def _prepare(settings: Settings, say: Say, stop: asyncio.Event) -> Mapping[str, str] | None:
    """Database, demo agent, pages, model; gives the demo agent if it was made now."""
    from frontdoor import setup

    await setup.migrate(settings)
    demo = await setup.make_demo_agent(settings)
    await _build_if_needed(stop)
    if not settings.assistant_url:
        await _train_if_needed(settings, say, stop)
    return demo


async def _build_if_needed(stop: asyncio.Event) -> None:
    if frontend.is_current() or stop.is_set():
        return
    build = (sys.executable, "-P", "-m", "frontdoor.frontend")
    if await run_step(build, child_environment(), stop) != 0 and not stop.is_set():
        raise CannotError("the desk's pages could not be built, see above")


async def _train_if_needed(settings: Settings, say: Say, stop: asyncio.Event) -> None:
    train = (str(BOT_PYTHON), "-P", "-m", "bot.train")
    environment = bot_environment(settings)
    if await run_step((*train, "--check"), environment, stop, quiet=True) == 0 or stop.is_set():
        return
    say(
        "training the assistant (its training data changed, or it was never trained; takes less than a minute)"
    )
    code = await run_step(train, environment, stop)
    if code != 0 and not stop.is_set():
        raise CannotError("training failed, see above. Remedy: mend the training data, then ./foyer train")


async def run_step(
    command: tuple[str, ...], environment: Mapping[str, str], stop: asyncio.Event, *, quiet: bool = False
) -> int:
    """Runs a command to its end, or ends it when ``stop`` is set; gives its exit code."""
    output = asyncio.subprocess.DEVNULL if quiet else None
    process = await asyncio.create_subprocess_exec(
        *command, env=dict(environment), cwd=ROOT, stdout=output, stderr=output, process_group=0
    )
    ended = asyncio.create_task(process.wait())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return await ended


def read_run_file(home: Path) -> dict[str, Any] | None:
    """What a running `up` wrote about itself, or None when none runs on this home."""
    # The lock ends with its holder; a process id alone may stand for a dead one, or for another.
    if holder(home / "up.lock") is None:
        return None
    try:
        return dict(json.loads((home / "run.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
