"""The action server as a process of its own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from actions import sample
from actions.directory import SampleCustomer
from tests.actions.world import NOON

ROOT = Path(__file__).parents[2]
MOST_MEGABYTES = 120


class Server:
    """The running process, its log so far, and a session with it."""

    def __init__(
        self, process: asyncio.subprocess.Process, port: int, session: aiohttp.ClientSession
    ) -> None:
        self.process = process
        self.session = session
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.log = b""

    async def listens(self) -> None:
        assert self.process.stderr
        while b"listens on" not in self.log:
            line = await self.process.stderr.readline()
            assert line, self.log
            self.log += line

    async def stops(self) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            self.log += (await self.process.communicate())[1]
        assert self.process.returncode is not None
        return self.process.returncode

    async def post(self, body: bytes | dict[str, Any]) -> tuple[int, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(f"{self.url}/webhook", data=io.BytesIO(content)) as answer:
            return answer.status, await answer.json()

    async def run(self, action: str, **tracker: Any) -> Any:
        status, body = await self.post({"next_action": action, "version": "3.6.21", "tracker": tracker})
        assert status == 200
        return body


@pytest.fixture
async def server(sqlite_accounts: str) -> AsyncIterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "actions", "--port", str(port),
        cwd=ROOT, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FOYER_ACCOUNTS_URL": sqlite_accounts},
    )  # fmt: skip
    async with aiohttp.ClientSession() as session:
        server = Server(process, port, session)
        await server.listens()
        yield server
        await server.stops()


def tracker(text: str, known: SampleCustomer, **slots: Any) -> dict[str, Any]:
    context = {"now": NOON.isoformat(), "source": "a", "verification": {"level": "none"}}
    return {
        "sender_id": "c1",
        "slots": {"wanted": "order_status", **slots},
        "latest_message": {
            "text": text,
            "intent": {"name": "order_status"},
            "metadata": {"turn": "t1", "context": context},
        },
        "events": [{"event": "user", "text": text}],
        "active_loop": {},
    }


async def test_the_story_over_http(server: Server, sqlite_accounts: str) -> None:
    known = (await sample.read(sqlite_accounts, 2))[1]
    words = f"where is {known.order_number}, {known.email}"

    form = await server.run("validate_order_form", **tracker(words, known))
    answer = await server.run("action_order_status", **tracker(words, known, order_number=known.order_number))

    slots = {event["name"]: event["value"] for event in form["events"]}
    assert (slots["form_result"], slots["requested_slot"]) == ("ready", None)
    assert form["responses"][0]["custom"]["foyer"]["effects"][0]["name"] == known.name
    assert answer["responses"][-1]["response"].startswith("say_order_")


async def test_bad_requests_are_refused_and_no_word_is_logged(server: Server) -> None:
    known = SampleCustomer("", "", "", "FY-1", None)  # type: ignore[arg-type]
    secret = "jane.smith@example.com"
    statuses = [
        (await server.post(b"{" + secret.encode()))[0],
        (await server.post({"next_action": "action_nobody_knows", "tracker": tracker(secret, known)}))[0],
        (await server.post({"next_action": "action_bill", "tracker": {"text": secret}}))[0],
    ]
    assert await refused_as_too_large(server, b"[" * 5_000_000)
    await server.run("validate_order_form", **tracker(f"FY-104233 {secret}", known))

    assert statuses == [400, 404, 500]
    await server.stops()
    assert b"action failed: KeyError" in server.log
    assert secret.encode() not in server.log


async def test_it_listens_on_loopback_only_and_stays_small(server: Server) -> None:
    async with server.session.get(f"{server.url}/health") as answer:
        assert answer.status == 200
    assert listening(server.port) == [f"0100007F:{server.port:04X}"]
    assert resident_megabytes(server.process.pid) <= MOST_MEGABYTES


async def test_it_ends_when_asked(server: Server) -> None:
    assert await server.stops() == 0


async def refused_as_too_large(server: Server, body: bytes) -> bool:
    """The server may hang up on a sender who has not finished yet."""
    try:
        return (await server.post(body))[0] == 413
    except aiohttp.ClientOSError:
        return True


def listening(port: int) -> list[str]:
    """The local addresses, in hexadecimal, on which something listens at this port."""
    table = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    rows = [line.split() for line in table.splitlines() if f":{port:04X} " in line]
    return [row[1] for row in rows if row[3] == "0A"]


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
