"""The command line. Heavy libraries are imported by the command that needs them, so that ``--help`` is quick."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from frontdoor.settings import Settings

app = typer.Typer(
    help="Foyer: the front door of a contact centre. An assistant answers first, a human being takes over when needed.\n\n"
    "New here? ./foyer up starts everything; ./foyer chat, in another terminal, talks to it.\n\n"
    "Exit codes: 0 done, 1 it says no, 2 it can't. Settings: .env.example and docs/operate.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
agent_app = typer.Typer(help="The people at the desk: add one, change a password.", no_args_is_help=True)
accounts_app = typer.Typer(help="The accounts that the assistant looks up.", no_args_is_help=True)
app.add_typer(agent_app, name="agent")
app.add_typer(accounts_app, name="accounts")

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", help="Folder of this installation's state [default: var/, or FOYER_HOME]."
    ),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port", metavar="N", min=1, max=65535, help="Port to listen on [default: 8040, or FOYER_PORT]."
    ),
]

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def say(line: str) -> None:
    """One line of progress or explanation, on standard error and at once."""
    # A terminal that was closed must not keep `up` from ending what it started.
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _settings(home: Path | None = None, port: int | None = None, *, prepare: bool = True) -> Settings:
    from frontdoor.settings import SettingsError, load_settings, prepare_home

    try:
        settings = load_settings(home=home.absolute() if home else None, port=port)
        return prepare_home(settings) if prepare else settings
    except SettingsError as error:
        say(f"{error}\nSettings come from the environment and .env; .env.example explains each.")
        raise typer.Exit(2) from None


@app.command()
def up(home: Home = None, port: Port = None) -> None:
    """Start everything on this machine and print where to go. Ctrl-C ends it all.

    Sets up what is missing, trains the assistant when its training data changed, then runs the action server, the
    assistant and the front door; what crashes is started again.
    """
    from conversations.errors import StoreUnavailable
    from frontdoor.serve import NO_DATABASE
    from frontdoor.up import CannotError
    from frontdoor.up import up as run

    try:
        raise typer.Exit(run(_settings(home, port), say))
    except CannotError as error:
        say(str(error))
        raise typer.Exit(2) from None
    except StoreUnavailable as error:
        say(f"{NO_DATABASE}: {error}")
        raise typer.Exit(2) from None


@app.command()
def serve(home: Home = None, port: Port = None) -> None:
    """Run the front door alone: messages in and out, the desk. Rasa is where FOYER_ASSISTANT_URL says."""
    from frontdoor.serve import serve as run

    raise typer.Exit(run(_settings(home, port), say))


@app.command()
def train(
    home: Home = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether training is due: 0 no, 1 yes.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Train even if nothing changed.")] = False,
) -> None:
    """Train the assistant from config.yml, domain/ and data/; does nothing when none of them changed."""
    from frontdoor.tools import run_training

    arguments = [word for word, wanted in (("--check", check), ("--force", force)) if wanted]
    raise typer.Exit(run_training(_settings(home), arguments, say))


@app.command()
def chat(
    home: Home = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Front door to talk to [default: the one that runs on this home]."),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Begin a new chat instead of going on with the last one.")
    ] = False,
) -> None:
    """Talk to the running front door, as a customer would on a web site. Works in a pipe too.

    printf 'hi\\n' | ./foyer chat sends each line, waits for its answer, and ends.
    """
    import asyncio

    from frontdoor.chat_screen import chat as run
    from frontdoor.up import local_url, read_run_file

    settings = _settings(home)
    running = read_run_file(settings.home) or {}
    address = url or running.get("url") or local_url(settings)
    try:
        code = asyncio.run(
            run(
                address,
                settings.chat_app_key.get_secret_value(),
                settings.home / "chat-session.json",
                new=new,
            )
        )
    except KeyboardInterrupt:
        code = 130
    raise typer.Exit(code)


@app.command(context_settings=_PASS_ON)
def test(context: typer.Context) -> None:
    """Run every test, in both environments. Arguments go to pytest: ./foyer test tests/frontdoor -k settings.

    Named paths run alone; those under bot/ run in Rasa's environment.
    """
    from frontdoor.tools import run_tests

    raise typer.Exit(run_tests(context.args, Path.cwd(), say))


@app.command()
def check() -> None:
    """Run linters, types, import rules and the validation of training data; say what to do about findings."""
    from frontdoor.tools import run_checks

    raise typer.Exit(run_checks(_settings(prepare=False), say))


@app.command(context_settings=_PASS_ON)
def bench(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Which benchmark; without it the names are listed.")
    ] = None,
) -> None:
    """Measure speed and memory: ./foyer bench turns --json turns.json. Each has --help of its own."""
    from frontdoor.tools import bench_names, run_bench

    names = bench_names()
    if name not in names:
        say(f"benchmarks: {', '.join(names) or 'none yet'}")
        raise typer.Exit(0 if name is None else 2)
    raise typer.Exit(run_bench(name, context.args, Path.cwd()))


@app.command()
def migrate(home: Home = None) -> None:
    """Bring the database of conversations up to this version. `up` does it by itself."""
    import asyncio

    from conversations.errors import StoreUnavailable
    from frontdoor import setup
    from frontdoor.serve import NO_DATABASE

    try:
        revision = asyncio.run(setup.migrate(_settings(home)))
    except StoreUnavailable as error:
        say(f"{NO_DATABASE}: {error}")
        raise typer.Exit(2) from None
    say(f"the database is at revision {revision}")


@app.command()
def doctor(home: Home = None, port: Port = None) -> None:
    """Say what is wrong with this installation, and what to do about it."""
    from frontdoor.doctor import examine

    raise typer.Exit(examine(_settings(home, port, prepare=False), say))


@agent_app.command("add")
def agent_add(
    email: Annotated[str, typer.Argument(help="E-mail address, with which they log in.")],
    name: Annotated[str, typer.Option(help="Name that customers see.")],
    role: Annotated[
        list[str] | None, typer.Option(help="agent, supervisor or admin; again for more [default: agent].")
    ] = None,
    queue: Annotated[
        list[str] | None, typer.Option(help="Queue they serve; again for more [default: general].")
    ] = None,
    skill: Annotated[
        list[str] | None, typer.Option(help="Skill, with a level from 1 to 5 (billing:4); again for more.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="Language they write (en, pt-BR); again for more.")
    ] = None,
    home: Home = None,
) -> None:
    """Add someone who works at the desk.

    The password is asked for, or read from standard input in a pipe; an empty one is made up and printed.
    """
    from frontdoor import setup

    settings = _settings(home)
    skills = _skills(skill or [])
    password, made_up = _new_password()
    _at_desk(
        setup.add_agent(
            settings,
            email,
            name,
            roles=role or ["agent"],
            queues=queue or ["general"],
            skills=skills,
            languages=language or [],
            password=password,
        )
    )
    say(f"{email} can log in{f' with the password {password}' if made_up else ''}")


@agent_app.command("password")
def agent_password(
    email: Annotated[str, typer.Argument(help="E-mail address of the agent.")], home: Home = None
) -> None:
    """Give an agent a new password; they are logged out everywhere. It is asked for as `agent add` does."""
    from frontdoor import setup

    settings = _settings(home)
    password, made_up = _new_password()
    _at_desk(setup.set_password(settings, email, password))
    say(f"{email} has a new password{f': {password}' if made_up else ''}, and is logged out everywhere")


def _skills(given: list[str]) -> dict[str, int]:
    skills = {}
    for word in given:
        name, _, level = word.partition(":")
        if not (level or "3").isdecimal():
            say(f"--skill {word}: a skill has the form name or name:level")
            raise typer.Exit(2)
        skills[name] = int(level or "3")
    return skills


def _new_password() -> tuple[str, bool]:
    """A password that was typed or piped in, or one made up; and whether it was made up."""
    import secrets

    if sys.stdin.isatty():
        given = typer.prompt(
            "Password (empty: one is made up)", default="", hide_input=True, show_default=False
        )
        if given and given != typer.prompt("The same again", hide_input=True):
            say("these two differ")
            raise typer.Exit(1)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    return given or secrets.token_urlsafe(12), not given


def _at_desk(change: Coroutine[Any, Any, object]) -> None:
    """Runs a change of the people at the desk; what it refuses is said, with exit code 1, what it can't do with 2."""
    import asyncio

    from conversations.errors import FoyerError, StoreUnavailable
    from frontdoor.settings import SettingsError

    try:
        asyncio.run(change)
    except (StoreUnavailable, SettingsError) as error:
        say(f"the database: {error}")
        raise typer.Exit(2) from None
    except FoyerError as error:
        say(str(error))
        raise typer.Exit(1) from None


@accounts_app.command("sample")
def accounts_sample(home: Home = None) -> None:
    """Print a few customers of the account database to play with."""
    from frontdoor.tools import run_sample

    raise typer.Exit(run_sample(_settings(home)))


def main() -> None:
    """Entry point of ``python -m frontdoor``."""
    # Whatever this process and its children write into the home is for its owner alone.
    os.umask(0o077)
    app(prog_name="./foyer")
