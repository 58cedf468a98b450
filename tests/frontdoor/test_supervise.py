"""Supervision, with small stand-in children."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from frontdoor.supervise import Backoff, Child, Supervisor, answers, last_lines, rotate
from frontdoor.up import free_port

SERVES = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
CRASHES = "print('token=abcdefgh', flush=True); print('no such file', flush=True); raise SystemExit(3)"
STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
inner = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(inner.pid, flush=True)
signal.pause()
"""
QUICK = Backoff(first=0.01, most=0.02)


class Told:
    """What the supervisor said, and a way to wait for a line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._more.set()

    async def until(self, condition: Callable[[list[str]], bool]) -> None:
        while not condition(self.lines):
            self._more.clear()
            await self._more.wait()

    async def hears(self, text: str, times: int = 1) -> None:
        await self.until(lambda lines: sum(text in line for line in lines) >= times)


@pytest.fixture
def child(tmp_path: Path) -> Callable[..., Child]:
    def make(program: str, *arguments: str, name: str = "helper", port: int | None = None) -> Child:
        command = (sys.executable, "-c", program, *arguments)
        ready = f"http://127.0.0.1:{port}/" if port else None
        return Child(
            name, command, dict(os.environ), tmp_path, tmp_path / "logs" / f"{name}.log", ready, port
        )

    return make


@contextlib.asynccontextmanager
async def supervised(supervisor: Supervisor) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(supervisor.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


def pid_of(supervisor: Supervisor, name: str = "helper") -> int:
    pid = supervisor.states[name].pid
    assert pid is not None
    return pid


def gone(pid: int) -> bool:
    """Whether a process has ended, or does so within some seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 20)[0])
    finally:
        os.close(descriptor)


async def test_ready_once_every_child_answers(child: Callable[..., Child]) -> None:
    told, ports = Told(), [free_port(), free_port()]
    children = [child(SERVES, str(port), name=f"child {port}", port=port) for port in ports]
    supervisor = Supervisor(children, say=told, poll=0.02)
    async with supervised(supervisor):
        await supervisor.all_ready()
        assert all(state.ready and state.pid for state in supervisor.states.values())
        assert await answers(f"http://127.0.0.1:{ports[0]}/")
    assert not await answers(f"http://127.0.0.1:{ports[0]}/")
    assert all(state.pid is None for state in supervisor.states.values())


async def test_a_killed_child_is_started_again_and_said_so(child: Callable[..., Child]) -> None:
    told, port = Told(), free_port()
    supervisor = Supervisor([child(SERVES, str(port), port=port)], say=told, backoff=QUICK, poll=0.02)
    async with supervised(supervisor):
        await told.hears("helper is ready")
        first = pid_of(supervisor)
        os.kill(first, signal.SIGKILL)
        await told.hears("helper was killed by SIGKILL; starting it again")
        await told.hears("helper is ready", times=2)
        assert pid_of(supervisor) != first
        assert supervisor.states["helper"].restarts == 1


async def test_what_was_ready_does_not_wait_longer_each_time(child: Callable[..., Child]) -> None:
    told, port = Told(), free_port()
    children = [child(SERVES, str(port), port=port), child(CRASHES, name="other", port=free_port())]
    supervisor = Supervisor(children, say=told, backoff=QUICK, poll=0.02)
    async with supervised(supervisor):
        for times in (1, 2, 3):
            await told.hears("helper is ready", times=times)
            os.kill(pid_of(supervisor), signal.SIGKILL)
        await told.hears("helper is ready", times=4)
        await told.hears("other ended with code 3", times=3)
        assert (supervisor.states["helper"].crashes, supervisor.states["helper"].false_starts) == (3, 0)
        assert supervisor.states["other"].false_starts >= 3


async def test_what_crashes_for_ever_is_shown_with_its_last_lines(child: Callable[..., Child]) -> None:
    told = Told()
    async with supervised(Supervisor([child(CRASHES)], say=told, backoff=QUICK)):
        await told.hears("helper ended with code 3", times=3)
        await told.hears("failed 3 times in a row")
        await told.hears("    no such file")
    assert "abcdefgh" not in "\n".join(told.lines)


async def test_a_program_that_does_not_exist_is_said_so(tmp_path: Path) -> None:
    told = Told()
    missing = Child("helper", ("/no/such/program",), {}, tmp_path, tmp_path / "log")
    async with supervised(Supervisor([missing], say=told, backoff=QUICK)):
        await told.hears("could not be started: No such file or directory", times=2)


async def test_stopping_ends_stubborn_children_and_their_children(
    child: Callable[..., Child], tmp_path: Path
) -> None:
    told = Told()
    supervisor = Supervisor([child(STUBBORN)], say=told, grace=0.1)
    log = tmp_path / "logs" / "helper.log"
    async with supervised(supervisor):
        await told.hears("is ready")
        outer = pid_of(supervisor)
        while not last_lines(log):  # noqa: ASYNC110 - the child tells through its log only
            await asyncio.sleep(0.01)
    assert "helper did not end; killing it" in told.lines
    assert gone(outer)
    assert gone(int(last_lines(log)[0]))


async def test_what_a_crashed_child_started_does_not_outlive_it(
    child: Callable[..., Child], tmp_path: Path
) -> None:
    told = Told()
    supervisor = Supervisor([child(STUBBORN)], say=told, grace=0.1, backoff=Backoff(first=30))
    log = tmp_path / "logs" / "helper.log"
    async with supervised(supervisor):
        await told.hears("is ready")
        while not last_lines(log):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        os.kill(pid_of(supervisor), signal.SIGKILL)
        await told.hears("starting it again")
        assert gone(int(last_lines(log)[0]))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux' own")
def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import asyncio, os, sys
        from pathlib import Path
        from frontdoor.supervise import Child, Supervisor
        command = (sys.executable, "-c", "import signal; signal.pause()")
        child = Child("helper", command, dict(os.environ), Path({str(tmp_path)!r}), Path({str(tmp_path / "log")!r}))
        supervisor = Supervisor([child], say=lambda line: print(supervisor.states["helper"].pid, flush=True))
        asyncio.run(supervisor.run(asyncio.Event()))
    """)
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid)


def test_backoff_doubles_up_to_its_most() -> None:
    backoff = Backoff(first=0.5, most=30)
    assert [backoff.delay(n) for n in (1, 2, 3, 7, 1000)] == [0.5, 1, 2, 30, 30]


def test_logs_are_rotated_by_size(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    for content in ("first", "second", "third", "fourth", "fifth"):
        log.write_text(content)
        rotate(log, most=3, keep=3)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "x.log.1": "fifth",
        "x.log.2": "fourth",
        "x.log.3": "third",
    }
    log.write_text("ok")
    rotate(log, most=3)
    assert log.read_text() == "ok"
