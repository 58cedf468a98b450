"""A whole installation, started by `up` as an operator would, on a home of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 240
"""Training included; a limit for a hang, not a measure."""


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Installation:
    """One `up`, its address, and what it wrote about itself."""

    home: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def app_key(self) -> str:
        return (self.home / "chat-app.key").read_text().strip()

    @property
    def demo_agent(self) -> dict[str, str]:
        """E-mail and password, as the first start left them."""
        return dict(json.loads((self.home / "demo-agent.json").read_text()))

    @property
    def database(self) -> Path:
        return self.home / "foyer.db"

    @property
    def accounts(self) -> Path:
        return self.home / "accounts.db"

    def run_file(self) -> dict[str, Any]:
        """Process ids, ports and readiness of the children; empty while there is none."""
        try:
            return dict(json.loads((self.home / "run.json").read_text()))
        except (OSError, ValueError):
            return {}

    def pid(self, child: str) -> int | None:
        """The child's process now; None while it is down."""
        found = self.run_file().get("children", {}).get(child, {}).get("pid")
        return int(found) if found else None

    async def start(self) -> None:
        """Starts `up` without waiting."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FOYER_")}
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "up.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "frontdoor",
                "up",
                "--home",
                str(self.home),
                "--port",
                str(self.port),
                cwd=ROOT,
                env=kept | {"PYTHONPATH": str(ROOT)} | self.settings,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> None:
        """Waits until every child says that it is ready; tells the log's end when `up` ended instead."""
        async with asyncio.timeout(READY_WITHIN_S):
            while not self.run_file().get("ready"):
                if self.process is not None and self.process.returncode is not None:
                    raise AssertionError(f"up ended early:\n{(self.home / 'up.log').read_text()[-4000:]}")
                await asyncio.sleep(0.1)

    async def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            return await self.process.wait()

    def kill(self, child: str) -> int | None:
        """kill -9 of one child; returns the process that was killed."""
        pid = self.pid(child)
        if pid is not None:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return None
        return pid

    async def alive(self) -> bool:
        """Whether the front door answers."""
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/healthz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False
