"""Stock `rasa run` with our endpoints.yml and credentials.yml, spoken to over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from bot.request import MAX_BODY_BYTES
from bot.tests.conftest import ROOT

TOKEN = "a-token-of-the-test"
START_SECONDS = 180


@dataclass(frozen=True)
class Server:
    """A running Rasa."""

    port: int

    def ask(self, method: str, path: str, body: bytes = b"", token: str | None = TOKEN) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return response.status, json.loads(content) if content.startswith((b"{", b"[")) else content

    def turn(self, **changes: Any) -> tuple[int, Any]:
        body = {
            "turn": "t1",
            "conversation": "c1",
            "message": {"text": "hello there"},
            "context": {},
            "state": None,
        }
        return self.ask("POST", "/webhooks/foyer/turn", json.dumps({**body, **changes}).encode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Server]:
    port = _free_port()
    command = [sys.executable, "-m", "rasa", "run", "-m", str(model), "--endpoints", "endpoints.yml"]
    command += ["--credentials", "credentials.yml", "-i", "127.0.0.1", "-p", str(port)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FOYER_ASSISTANT_TOKEN": TOKEN,
        "FOYER_ACTIONS_URL": "http://127.0.0.1:9/webhook",
    }
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as rasa:
        try:
            found = Server(port)
            _wait_until_ready(found, rasa)
            yield found
        finally:
            rasa.terminate()


def _wait_until_ready(server: Server, rasa: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert rasa.poll() is None, "rasa run ended"
        try:
            if server.ask("GET", "/webhooks/foyer/health")[0] == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("rasa run did not get ready")


pytestmark = pytest.mark.timeout(START_SECONDS + 60)


def test_health_names_the_model(server: Server, model: Path) -> None:
    status, body = server.ask("GET", "/webhooks/foyer/health", token=None)
    assert status == 200
    assert body["ready"] is True
    assert body["model"] == model.name.removesuffix(".tar.gz")


def test_a_turn_goes_through(server: Server) -> None:
    status, body = server.turn(message={"choice": "/greet"})
    assert status == 200
    assert body["turn"] == "t1"
    assert body["replies"] == [{"kind": "text", "text": "Welcome to the garage."}]
    status, body = server.turn(message={"choice": "/book_service"}, state=body["state"])
    assert (status, body["error"]["code"]) == (503, "action_failed")


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "\u00e4".encode().decode("latin-1")])
def test_a_wrong_token_is_refused(server: Server, token: str | None) -> None:
    status, body = server.ask("POST", "/webhooks/foyer/turn", b"{}", token=token)
    assert (status, body["error"]["code"]) == (401, "unauthorized")


def test_malformed_requests_are_refused(server: Server) -> None:
    status, body = server.ask("POST", "/webhooks/foyer/turn", b"{")
    assert (status, body["error"]) == (400, {"code": "bad_request", "message": "not JSON"})
    assert server.turn(message={})[0] == 400


def test_oversized_requests_are_refused(server: Server) -> None:
    status, body = server.turn(state={"v": 1, "events": ["x" * MAX_BODY_BYTES]})
    assert (status, body["error"]["code"]) == (413, "too_large")


def test_nothing_else_is_served(server: Server) -> None:
    for method, path in [
        ("GET", "/webhooks/foyer/turn"),
        ("POST", "/webhooks/rest/webhook"),
        ("GET", "/conversations/c1/tracker"),
        ("POST", "/model/parse"),
        ("GET", "/status"),
    ]:
        assert server.ask(method, path)[0] in {404, 405}, path


def test_it_listens_on_loopback_only(server: Server) -> None:
    listening = "0A"
    addresses = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == listening and int(local.split(":")[1], 16) == server.port:
                addresses.add(local.split(":")[0])
    assert addresses == {"0100007F"}
