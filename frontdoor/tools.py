"""What developers run: the checks, the tests of both environments, the benchmarks, training."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frontdoor import frontend
from frontdoor.settings import ROOT, Settings
from frontdoor.up import (
    BOT_PYTHON,
    actions_environment,
    bot_environment,
    child_environment,
    read_run_file,
)

Say = Callable[[str], None]

ROOMS = ("actions", "bench", "connectors", "conversations", "frontdoor", "handoff", "tests")

# Options of pytest whose next word is their value and never a path of tests.
_WITH_VALUE = frozenset(
    {"-k", "-m", "-p", "-n", "-o", "-c", "-W", "-r", "--rootdir", "--maxfail", "--timeout", "--durations"}
)


# Not its script: that names its interpreter by a path, which a folder that was moved or has blanks may break.
_IMPORT_LINTER = (
    sys.executable,
    "-P",
    "-c",
    "import sys; from importlinter.cli import lint_imports_command; sys.argv[1:] = []; lint_imports_command()",
)


@dataclass(frozen=True)
class Check:
    """One gate: its name, what to run, and what to do about its findings."""

    name: str
    command: tuple[str, ...]
    remedy: str
    environment: Mapping[str, str]


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """A Python module of the front door's environment as a command."""
    return (sys.executable, "-P", "-m", name, *arguments)


def bot_module(name: str, *arguments: str) -> tuple[str, ...]:
    """A Python module of Rasa's environment as a command."""
    return (str(BOT_PYTHON), "-P", "-m", name, *arguments)


def checks(settings: Settings) -> list[Check]:
    """Every gate, the quick ones first."""
    own = child_environment()
    rooms = tuple(room for room in ROOMS if (ROOT / room).is_dir())
    found = [
        Check("shell syntax: foyer", ("sh", "-n", "foyer"), "mend the script", own),
        Check("shell syntax: .ci/run", ("bash", "-n", ".ci/run"), "mend the script", own),
        Check("lint (ruff)", module("ruff", "check", "."), "ruff check --fix mends many", own),
        Check("format (ruff)", module("ruff", "format", "--check", "."), "run: .venv/bin/ruff format .", own),
        Check(
            "directions of imports",
            _IMPORT_LINTER,
            "see pyproject.toml, importlinter",
            own,
        ),
        Check("types (mypy)", module("mypy", *rooms), "mend the types", own),
    ]
    bot = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "bot").glob("*.py"))
    bot += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "bot" / "tests").glob("*.py"))
    how = ("--config-file", "bot/mypy.ini", "--python-executable", str(BOT_PYTHON))
    remedy = "mend the named file under data/ or domain/"
    found += [
        Check("types in bot/ (mypy)", module("mypy", *how, *bot), "mend the types", own),
        Check("training data", bot_module("bot.train", "--validate"), remedy, bot_environment(settings)),
    ]
    return found + frontend_checks()


def frontend_checks() -> list[Check]:
    """The gates of the pages. Raises FrontendError when there is no Node.js."""
    remedy = "mend the named file under desk/"
    gates = [
        ("lint (eslint)", "lint", remedy),
        ("types of components (svelte-check)", "svelte-check", remedy + "; a protocol may have changed"),
        ("types of scripts (tsc)", "tsc", remedy + "; a protocol may have changed"),
        ("size of the widget", "size", "the widget must stay within its budget (desk/scripts/size.mjs)"),
    ]
    environment = frontend.node_environment()
    return [
        Check(f"desk: {name}", frontend.run_script(script), remedy, environment)
        for name, script, remedy in gates
    ]


def built(say: Say) -> bool:
    """Whether the pages are built from the sources as they are; says why not."""
    try:
        frontend.build_if_changed(say)
    except frontend.FrontendError as error:
        say(str(error))
        return False
    return True


def run_checks(settings: Settings, say: Say) -> int:
    """Runs every gate, shows what each finds; 1 when any found something, 2 when a tool is missing."""
    if not built(say):
        return 1 if frontend.has_node() else 2
    failed = []
    for check in checks(settings):
        started = time.monotonic()
        try:
            done = subprocess.run(
                check.command, cwd=ROOT, env=dict(check.environment), capture_output=True, text=True
            )
        except FileNotFoundError:
            say(f"missing tool: {check.command[0]} (for {check.name})")
            return 2
        mark = "ok  " if done.returncode == 0 else "FAIL"
        say(f"{mark} {check.name} ({time.monotonic() - started:.1f} s)")
        if done.returncode != 0:
            failed.append(check.name)
            say((done.stdout + done.stderr).strip())
            say(f"  remedy: {check.remedy}")
    say(
        f"{len(failed)} of the checks found something: {', '.join(failed)}"
        if failed
        else "every check passed"
    )
    return 1 if failed else 0


def split_test_arguments(arguments: Sequence[str], here: Path) -> tuple[list[str], list[str], list[str]]:
    """Divides pytest's arguments into options, paths of the main tests and paths of the tests inside ``bot/``.

    Paths count from ``here`` or from the project's root, and come back absolute (``::test`` stays on them).
    """
    options: list[str] = []
    main: list[str] = []
    bot: list[str] = []
    previous = ""
    for argument in arguments:
        found = None if argument.startswith("-") or previous in _WITH_VALUE else _existing(argument, here)
        if found is None:
            options.append(argument)
        elif Path(found.split("::")[0]).is_relative_to(ROOT / "bot"):
            bot.append(found)
        else:
            main.append(found)
        previous = argument
    return options, main, bot


def _existing(argument: str, here: Path) -> str | None:
    path, mark, name = argument.partition("::")
    for folder in (here, ROOT):
        if (folder / path).exists():
            return f"{(folder / path).resolve()}{mark}{name}"
    return None


def run_tests(arguments: Sequence[str], here: Path, say: Say) -> int:
    """Runs the tests of both environments (only those that were named, if any); the worse exit code counts."""
    options, main, bot = split_test_arguments(arguments, here)
    every = not main and not bot
    codes = []
    if every:
        if not built(say):
            return 2
        say("tests of the pages' scripts")
        codes.append(_vitest())
    if every or main:
        say("tests of the front door and its rooms")
        codes.append(_pytest(module("pytest", *options, *main)))
    if (every or bot) and (ROOT / "bot" / "tests").is_dir():
        if not BOT_PYTHON.exists():
            say("missing: bot/.venv (Rasa's environment); ./foyer test makes it")
            return 2
        say("tests inside Rasa's environment")
        codes.append(_pytest(bot_module("pytest", *(() if every else options), *(bot or ["bot/tests"]))))
    return max(codes, default=2)


def _vitest() -> int:
    code = subprocess.run(frontend.run_script("test"), cwd=ROOT, env=frontend.node_environment()).returncode
    return code if code in {0, 1} else 2


def _pytest(command: Sequence[str]) -> int:
    environment = child_environment(RASA_TELEMETRY_ENABLED="false")
    code = subprocess.run(command, cwd=ROOT, env=environment).returncode
    return code if code in {0, 1} else 2


def run_training(settings: Settings, arguments: Sequence[str], say: Say) -> int:
    """Trains the assistant with what `bot.train` understands; gives its exit code."""
    command = bot_module("bot.train", *arguments)
    code = subprocess.run(command, cwd=ROOT, env=bot_environment(settings)).returncode
    if code == 0 and "--check" not in arguments and read_run_file(settings.home) is not None:
        say("what runs now keeps the model that it has; to use this one: Ctrl-C there, and ./foyer up again")
    return code


def run_sample(settings: Settings) -> int:
    """Prints a few customers of the account database."""
    return subprocess.run(module("actions.sample"), cwd=ROOT, env=actions_environment(settings)).returncode


def run_bench(name: str, arguments: Sequence[str], here: Path) -> int:
    """Runs ``bench/<name>.py``'s ``main(arguments)`` in ``here``, so that its files are found from there."""
    program = f"import sys; from bench.{name} import main; sys.exit(main(sys.argv[1:]))"
    environment = child_environment(RASA_TELEMETRY_ENABLED="false")
    return subprocess.run(
        (sys.executable, "-P", "-c", program, *arguments), cwd=here, env=environment
    ).returncode


def bench_names() -> list[str]:
    """Benchmarks that exist: modules of ``bench/`` with a ``main``."""
    files = sorted((ROOT / "bench").glob("*.py"))
    return [file.stem for file in files if "\ndef main(" in file.read_text()]
