"""Keeps child processes running: starts them, waits until they answer, restarts what crashes, ends them all.

Knows nothing of what the children are; ``frontdoor.up`` says that.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from frontdoor.logs import redact_text

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_TAIL_BYTES = 8192


@dataclass(frozen=True)
class Child:
    """A process to keep running. ``ready`` is an address that answers below 500 once it can work."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    ready: str | None = None
    port: int | None = None


@dataclass(frozen=True)
class Backoff:
    """Seconds before a crashed child is started again; each start in a row that came to nothing doubles them."""

    first: float = 0.5
    most: float = 30.0
    healthy_after: float = 30.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after ``failures`` starts in a row that never became ready."""
        return min(self.most, self.first * 2.0 ** min(max(failures - 1, 0), 16))


@dataclass
class State:
    """What is known of one child now.

    ``restarts`` counts all crashes, ``crashes`` those in a row, ``false_starts`` those in a row before it was ready.
    """

    pid: int | None = None
    ready: bool = False
    restarts: int = 0
    crashes: int = 0
    false_starts: int = 0
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)


class Supervisor:
    """Runs ``children`` until told to stop. ``say`` gets lines for a person; ``changed`` hears of any change."""

    #: Crashes in a row after which the last lines of the log are shown.
    DESPAIR = 3

    def __init__(
        self,
        children: Sequence[Child],
        *,
        say: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
        backoff: Backoff = Backoff(),
        grace: float = 10.0,
        poll: float = 0.15,
    ) -> None:
        self.children = tuple(children)
        self.states = {child.name: State() for child in self.children}
        self._say = say
        self._changed = changed
        self._backoff = backoff
        self._grace = grace
        self._poll = poll
        self._all_ready = asyncio.Event()

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event | None = None) -> None:
        """Starts every child at once and keeps them until ``stop`` is set; returns when none is left.

        ``hurry``, set while they are ending, kills what is still there.
        """
        keepers = [asyncio.create_task(self._keep(child), name=child.name) for child in self.children]
        try:
            await stop.wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            await self._end_all(hurry or asyncio.Event())

    async def all_ready(self) -> None:
        """Returns once every child has answered for the first time."""
        await self._all_ready.wait()

    async def _keep(self, child: Child) -> None:
        state = self.states[child.name]
        while True:
            started = time.monotonic()
            outcome = await self._once(child, state)
            settled = time.monotonic() - started >= self._backoff.healthy_after
            was_ready = settled or (state.ready and child.ready is not None)
            state.crashes = 1 if settled else state.crashes + 1
            state.false_starts = 0 if was_ready else state.false_starts + 1
            state.restarts += 1
            state.ready = False
            delay = self._backoff.delay(state.false_starts)
            self._tell_crash(child, outcome, delay, state.crashes)
            self._changed()
            await asyncio.sleep(delay)

    async def _once(self, child: Child, state: State) -> str:
        try:
            process = await _spawn(child)
        except OSError as error:
            return f"could not be started: {error.strerror or error}"
        state.process, state.pid = process, process.pid
        self._changed()
        readiness = asyncio.create_task(self._watch_readiness(child, state))
        try:
            code = await process.wait()
        finally:
            readiness.cancel()
        # What it started itself must not live on beside its successor.
        _signal_group(process.pid, signal.SIGKILL)
        state.process, state.pid = None, None
        return _how_it_ended(code)

    async def _watch_readiness(self, child: Child, state: State) -> None:
        started = told = time.monotonic()
        while child.ready is not None and not await answers(child.ready):
            await asyncio.sleep(self._poll)
            if time.monotonic() - told >= 10:
                told = time.monotonic()
                self._say(f"still waiting for {child.name} ({told - started:.0f} s)")
        state.ready = True
        self._say(f"{child.name} is ready ({time.monotonic() - started:.1f} s)")
        self._changed()
        if all(other.ready for other in self.states.values()):
            self._all_ready.set()

    def _tell_crash(self, child: Child, outcome: str, delay: float, crashes: int) -> None:
        self._say(f"{child.name} {outcome}; starting it again in {delay:.1f} s")
        if crashes % self.DESPAIR:
            return
        self._say(f"{child.name} failed {crashes} times in a row. The last lines of {child.log}:")
        for line in last_lines(child.log):
            self._say(f"    {line}")

    async def _end_all(self, hurry: asyncio.Event) -> None:
        # The last one depends on the others, and finishes its work while they still answer.
        await self._end(self.children[-1:], hurry)
        await self._end(self.children[:-1], hurry)
        self._changed()

    async def _end(self, children: Sequence[Child], hurry: asyncio.Event) -> None:
        processes = [(child, self.states[child.name].process) for child in children]
        await asyncio.gather(*(self._end_one(child, p, hurry) for child, p in processes if p is not None))

    async def _end_one(self, child: Child, process: asyncio.subprocess.Process, hurry: asyncio.Event) -> None:
        _signal_group(process.pid, signal.SIGTERM)
        ended = asyncio.create_task(process.wait())
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=self._grace, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            self._say(f"{child.name} did not end; killing it")
        _signal_group(process.pid, signal.SIGKILL)
        await ended
        state = self.states[child.name]
        state.process, state.pid, state.ready = None, None, False


async def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether a GET of ``url`` (plain http) is answered with a status below 500 within ``timeout`` seconds."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
            try:
                request = (
                    f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
                )
                writer.write(request.encode())
                status_line = await reader.readline()
            finally:
                writer.close()
        return status_line.startswith(b"HTTP/") and int(status_line.split()[1]) < 500
    except (OSError, TimeoutError, ValueError, IndexError):
        return False


def last_lines(path: Path, count: int = 10) -> list[str]:
    """The last ``count`` lines of a log, masked as logs are; none when there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [redact_text(line) for line in lines[-count:]]


def rotate(path: Path, most: int = 5_000_000, keep: int = 3) -> None:
    """Moves a log of more than ``most`` bytes to ``<name>.1`` and older ones up; ``keep`` of them stay."""
    if not path.exists() or path.stat().st_size <= most:
        return
    for number in range(keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))


async def _spawn(child: Child) -> asyncio.subprocess.Process:
    child.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    rotate(child.log)
    descriptor = os.open(child.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            *child.command,
            env=dict(child.environment),
            cwd=child.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            process_group=0,
            preexec_fn=_die_with(os.getpid()) if _LIBC is not None else None,
        )
    finally:
        os.close(descriptor)


def _die_with(parent: int) -> Callable[[], None]:
    """To run in the child before it becomes its program: the kernel kills it when this process is gone."""

    def arrange() -> None:
        assert _LIBC is not None  # noqa: S101 - for the type checker
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"
