"""Builds the pages under ``desk/`` into ``desk/dist``, when their sources changed: `python -m frontdoor.frontend`.

A build takes some seconds and needs Node.js; that nothing changed is seen from the files' sizes and times alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from frontdoor.settings import PREFIX, ROOT

Say = Callable[[str], None]

DESK = ROOT / "desk"
NODE_HOME = ROOT / ".venv-node"
MIN_NODE = (20, 19)

# What a build makes, or what another program keeps; everything else in desk/ is a source.
_MADE = frozenset({"node_modules", "dist", "dist.new", "dist.old", ".build.lock"})
_GENERATED = frozenset({"schemas.json", "desk.ts", "webchat.ts"})
# The types of the pages come from these rooms' schemas.
_SCHEMA_ROOMS = ("handoff", "connectors/webchat", "conversations/messages.py", "frontdoor/schemas.py")


class FrontendError(Exception):
    """The pages can't be built; the text says why and what to do."""


def is_checkout() -> bool:
    """Whether the pages' sources are here. An installed wheel brings the built pages instead."""
    return (DESK / "package.json").is_file()


def dist_folder() -> Path:
    """Where the built pages are: in a checkout under desk/, in a wheel beside this module."""
    return DESK / "dist" if is_checkout() else Path(__file__).parent / "dist"


def is_current() -> bool:
    """Whether the built pages are those of the sources, by the files' sizes and times. Some milliseconds."""
    return not is_checkout() or (
        _stamp().get("quick") == _quick_hash() and (DESK / "dist" / "index.html").exists()
    )


def build_if_changed(say: Say) -> None:
    """Brings libraries and pages up to date; a second call at the same time waits for the first.

    Raises:
        FrontendError: Node.js is missing, the network is, or the sources have a fault.
    """
    if is_current():
        return
    with _alone():
        if is_current():
            return
        install(say)
        write_schemas()
        content = _content_hash()
        if _stamp().get("content") != content or not (DESK / "dist" / "index.html").exists():
            say("building the desk's pages (their sources changed)")
            _build()
        _write_stamp(DESK / "dist", content)


def install(say: Say) -> None:
    """Brings desk/node_modules up to the lock file. Raises FrontendError."""
    modules = DESK / "node_modules"
    wanted = _hash([(DESK / "package-lock.json").read_bytes(), " ".join(node_command("node")).encode()])
    mark = modules / ".foyer-stamp"
    if mark.is_file() and mark.read_text() == wanted:
        return
    say("installing the libraries that build the desk's pages (needs the network once)")
    done = _run(node_command("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"))
    if done.returncode != 0:
        raise FrontendError(
            f"{done.stdout[-2000:]}\nthe libraries of desk/package-lock.json could not be installed (see above)."
            " Remedy: this step needs the network; check connection, proxy and npm's registry, then start again"
        )
    mark.write_text(wanted)


def write_schemas() -> None:
    """Writes the published schemas, and the types made of them, to desk/src/protocol. Raises FrontendError."""
    from frontdoor.schemas import published

    text = json.dumps(published(), indent=1, sort_keys=True) + "\n"
    path = DESK / "src" / "protocol" / "schemas.json"
    path.parent.mkdir(exist_ok=True)
    made = all((path.parent / name).exists() for name in _GENERATED)
    if made and path.read_text() == text:
        return
    path.write_text(text)
    _must("npm", "run", "--silent", "types")


def run_script(name: str) -> tuple[str, ...]:
    """A script of desk/package.json as a command, to be run in any folder."""
    return node_command("npm", "--prefix", str(DESK), "run", "--silent", name)


def node_command(program: str, *arguments: str) -> tuple[str, ...]:
    """`node` or `npm` with arguments: the machine's own when it is new enough, else those of ``.venv-node``.

    Raises FrontendError when there is neither.
    """
    for folder in (None, str(NODE_HOME / "bin")):
        node, found = shutil.which("node", path=folder), shutil.which(program, path=folder)
        if node and found and _version(node) >= MIN_NODE:
            return (found, *arguments)
    wanted = ".".join(map(str, MIN_NODE))
    raise FrontendError(
        f"no Node.js {wanted} or newer. Remedy: install Node.js with npm, or start with ./foyer, which fetches one"
    )


def has_node() -> bool:
    """Whether there is a Node.js that can build the pages."""
    try:
        node_command("npm")
    except FrontendError:
        return False
    return True


def node_environment() -> dict[str, str]:
    """The caller's environment for npm: without our settings, and with the folder of `node` first on the PATH."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    folder = str(Path(node_command("node")[0]).parent)
    path = kept.get("PATH", "")
    return {**kept, "PATH": f"{folder}{os.pathsep}{path}" if folder not in path.split(os.pathsep) else path}


def _version(node: str) -> tuple[int, ...]:
    done = subprocess.run((node, "--version"), capture_output=True, text=True)
    parts = done.stdout.strip().removeprefix("v").split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else (0,)


def _build() -> None:
    """Into a folder beside, which then takes the place of the old one: a running front door never sees half a build."""
    new, old = DESK / "dist.new", DESK / "dist.old"
    shutil.rmtree(new, ignore_errors=True)
    _must("npm", "run", "--silent", "build", DIST="dist.new")
    shutil.rmtree(old, ignore_errors=True)
    if (DESK / "dist").exists():
        (DESK / "dist").rename(old)
    new.rename(DESK / "dist")
    shutil.rmtree(old, ignore_errors=True)


def _must(*command: str, **own: str) -> None:
    done = _run(node_command(*command), own)
    if done.returncode != 0:
        raise FrontendError(
            f"{done.stdout[-6000:]}\nthe desk's pages could not be built (see above). Remedy: mend desk/src"
        )


def _run(command: Sequence[str], own: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**node_environment(), **(own or {})}
    return subprocess.run(
        command, cwd=DESK, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


# -------------------------------------------------------------------- stamp


def _sources() -> Iterator[Path]:
    for folder, names, files in os.walk(DESK):
        names[:] = sorted(name for name in names if name not in _MADE)
        generated = _GENERATED if Path(folder).name == "protocol" else frozenset[str]()
        yield from (Path(folder) / name for name in sorted(files) if name not in generated | _MADE)


def _schema_sources() -> Iterator[Path]:
    for room in _SCHEMA_ROOMS:
        path = ROOT / room
        yield from sorted(path.glob("*.py")) if path.is_dir() else [path]


def _quick_hash() -> str:
    seen = ((path, path.stat()) for path in (*_sources(), *_schema_sources()))
    return _hash(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}".encode() for path, stat in seen)


def _content_hash() -> str:
    schemas = (DESK / "src" / "protocol" / "schemas.json").read_bytes()
    parts = (
        part for path in _sources() for part in (str(path.relative_to(DESK)).encode(), path.read_bytes())
    )
    return _hash([schemas, *parts])


def _hash(parts: Iterator[bytes] | Sequence[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()


def _stamp() -> dict[str, str]:
    try:
        return dict(json.loads((DESK / "dist" / ".stamp").read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _write_stamp(dist: Path, content: str) -> None:
    (dist / ".stamp").write_text(json.dumps({"quick": _quick_hash(), "content": content}))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with (DESK / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Builds what is due; 0 done, 2 can't."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        build_if_changed(say)
    except FrontendError as error:
        say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
