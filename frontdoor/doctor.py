"""`./foyer doctor`: looks at an installation without changing it, and names a remedy for what is wrong."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from frontdoor.settings import PREFIX, ROOT, Settings
from frontdoor.tools import bot_module
from frontdoor.up import CannotError, bot_environment, check_port, read_run_file

Say = Callable[[str], None]

#: Bytes below which a disk counts as nearly full.
LOW_SPACE = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``remedy`` is empty when it is in order."""

    what: str
    state: str
    remedy: str = ""


def examine(settings: Settings, say: Say) -> int:
    """Tells of every finding; 1 when something needs a remedy."""
    wrong = 0
    for look in LOOKS:
        for finding in look(settings):
            say(f"{'!!' if finding.remedy else 'ok'} {finding.what}: {finding.state}")
            if finding.remedy:
                wrong += 1
                say(f"     remedy: {finding.remedy}")
    say("nothing is wrong" if not wrong else f"{wrong} to mend")
    return 1 if wrong else 0


def environments(settings: Settings) -> Iterator[Finding]:
    """Whether both environments are those of their locks."""
    for folder, lock in (
        (ROOT / ".venv", ROOT / "requirements.lock"),
        (ROOT / "bot/.venv", ROOT / "bot/requirements.lock"),
    ):
        name = str(folder.relative_to(ROOT))
        stamp = folder / ".foyer-stamp"
        if not (folder / "bin/python").exists():
            yield Finding(name, "missing", "./foyer up makes it (needs the network)")
        elif not stamp.exists() or not _is_stamp_of(stamp.read_text(), lock):
            yield Finding(
                name, "not what its lock says", "./foyer up brings it up to date (needs the network)"
            )
        else:
            yield Finding(name, "as locked")


def _is_stamp_of(stamp: str, lock: Path) -> bool:
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    # Where the machine has no tool for SHA-256 the launcher stamps another sum; then only the folder is compared.
    return stamp.startswith(digest) or len(stamp.split()[0]) != len(digest)


def settings_given(settings: Settings) -> Iterator[Finding]:
    """Whether each variable with our prefix is a setting: a misspelt one does nothing, silently."""
    known = {PREFIX + name.upper() for name in type(settings).model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    for name in unknown:
        yield Finding("settings", f"{name} is not a setting", "see .env.example for the names")
    if not unknown:
        yield Finding("settings", "each is known")


def home(settings: Settings) -> Iterator[Finding]:
    """The folder of the installation's state, and how open it is."""
    folder = settings.home
    if not folder.is_dir():
        yield Finding("home", f"{folder} does not exist yet", "./foyer up makes it")
        return
    yield _private("home", folder, 0o077)
    for name in (
        "assistant.token",
        "chat-app.key",
        "secret.key",
        "demo-agent.json",
        "foyer.db",
        "accounts.db",
    ):
        if (folder / name).exists():
            yield _private("home", folder / name, 0o077)


def _private(what: str, path: Path, forbidden: int) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & forbidden:
        return Finding(what, f"{path} can be read by others (mode {mode:o})", f"chmod go-rwx '{path}'")
    return Finding(what, f"{path} is private")


def space(settings: Settings) -> Iterator[Finding]:
    """Room on the disk that holds the state."""
    folder = next(place for place in (settings.home, *settings.home.parents) if place.exists())
    free = shutil.disk_usage(folder).free
    remedy = "make room: a full disk stops the acceptance of messages" if free < LOW_SPACE else ""
    yield Finding("disk", f"{free / 1e9:.1f} GB free at {folder}", remedy)


def running(settings: Settings) -> Iterator[Finding]:
    """What runs on this home, or whether its port is free."""
    run = read_run_file(settings.home)
    if run is None:
        try:
            check_port(settings.host, settings.port)
        except CannotError as error:
            yield Finding(
                "port", f"{settings.port} is taken, and not by this home", str(error).partition("Remedy: ")[2]
            )
        else:
            yield Finding("running", f"nothing; port {settings.port} is free")
        return
    yield Finding("running", f"process {run['pid']}, at {run['url']}")
    for name, child in run["children"].items():
        remedy = "" if child["ready"] else f"wait a little, then read {child['log']}"
        yield Finding(
            name, f"{'ready' if child['ready'] else 'not ready'}, {child['restarts']} restarts", remedy
        )


def database(settings: Settings) -> Iterator[Finding]:
    """Whether the database of conversations can be reached and has this version's tables."""
    from conversations.store import current_revision, head_revision

    if settings.uses_sqlite and not Path(settings.database_url.partition(":///")[2]).exists():
        yield Finding("database", "not made yet", "./foyer up or ./foyer migrate makes it")
        return
    try:
        revision = asyncio.run(current_revision(settings.database_url))
    except Exception as error:  # whatever a driver raises is what the operator must hear
        yield Finding(
            "database",
            f"can't be reached: {type(error).__name__}",
            "check FOYER_DATABASE_URL and that it runs",
        )
        return
    head = head_revision()
    if revision != head:
        yield Finding("database", f"at revision {revision}, this version needs {head}", "./foyer migrate")
    else:
        yield Finding("database", f"reachable, at revision {revision}")


def model(settings: Settings) -> Iterator[Finding]:
    """Whether the assistant was trained on what its training data are now."""
    if settings.assistant_url:
        yield Finding("model", f"Rasa runs elsewhere ({len(settings.assistant_url)} addresses)")
        return
    command = bot_module("bot.train", "--check")
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=bot_environment(settings), capture_output=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding(
            "model", f"can't be looked at ({type(error).__name__})", "./foyer up sets Rasa's environment up"
        )
        return
    stale = done.returncode != 0
    yield Finding(
        "model",
        "not trained on the present data" if stale else "trained, fresh",
        "./foyer train" if stale else "",
    )


LOOKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    environments,
    settings_given,
    home,
    space,
    running,
    database,
    model,
)
