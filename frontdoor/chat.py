"""A client of the web chat, from the published protocol alone: resumes, reconnects, sends each message once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

Frame = dict[str, Any]

#: Close codes of the socket that no new attempt can mend, and what to tell the person.
_FINAL = {
    4400: "the front door did not understand this client (is it of another version?)",
    4403: "the front door does not accept this client from here; see FOYER_CHAT_ORIGINS",
    4409: "this chat is open in too many places; close one of them",
}
_FLOOD, _SESSION = 4429, 4401


class ChatError(Exception):
    """The chat can't go on; the text says why and what to do."""


class LostError(Exception):
    """The connection is gone, or there was none; the next attempt may work."""


@dataclass(frozen=True)
class Patience:
    """How to try again: seconds before the first new attempt, the most between two, and how many there are.

    ``attempts`` counts those after a connection was lost (None: for ever), ``at_first`` those before there was any.
    """

    first: float = 0.5
    most: float = 15.0
    attempts: int | None = None
    at_first: int = 5

    def delay(self, failures: int) -> float:
        """Seconds before the next attempt after ``failures`` in a row: doubled, and jittered by a half."""
        whole = min(self.most, self.first * 2.0 ** min(failures - 1, 16))
        return whole * (0.5 + secrets.randbelow(1001) / 2000)


@dataclass(frozen=True)
class Place:
    """Where a chat stands: its session token, its thread, and the last message that was heard."""

    session: str = ""
    thread: str = ""
    last_seq: int = 0


class ChatClient:
    """One customer's end of a web chat at ``url``.

    ``heard`` gets every frame of the server once (messages in order of ``seq``, none twice); ``told`` gets lines
    about the connection. What is sent is kept, and sent again after a reconnection, until the server acknowledges it.
    It begins at ``place``, hears what was missed since, and besides at least the last ``replay`` messages; the
    attribute ``place`` is what to give to the next client.
    """

    def __init__(
        self,
        url: str,
        *,
        heard: Callable[[Frame], None],
        told: Callable[[str], None],
        app_key: str = "",
        place: Place = Place(),
        replay: int = 0,
        patience: Patience = Patience(),
    ) -> None:
        self.url = url.rstrip("/")
        self.place = place
        self.resumed = False
        self._heard = heard
        self._told = told
        self._headers = {"X-Foyer-App": app_key} if app_key else {}
        self._replay = replay
        self._patience = patience
        self._pending: dict[str, Frame] = {}
        self._own: set[str] = set()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._greeted = False
        self._session_is_good = False
        self._acked = asyncio.Condition()
        self._later: set[asyncio.Task[None]] = set()

    # --- what the person does ------------------------------------------------------------------------------------

    async def say(self, text: str) -> str:
        """Sends a text; gives the id under which it will be acknowledged."""
        return await self._send_kept({"type": "message", "text": text})

    async def choose(self, seq: int, payload: str) -> str:
        """Takes a choice that message ``seq`` offered."""
        return await self._send_kept({"type": "choice", "seq": seq, "payload": payload})

    async def send(self, frame: Frame) -> None:
        """Sends a frame that need not arrive (typing, read, cancel, end)."""
        if self._socket is not None and not self._socket.closed:
            with contextlib.suppress(ConnectionError, RuntimeError):
                await self._socket.send_json(frame)

    async def all_acknowledged(self, timeout: float) -> bool:
        """Waits until nothing is pending, at most ``timeout`` seconds; whether that was reached."""
        try:
            async with asyncio.timeout(timeout), self._acked:
                await self._acked.wait_for(lambda: not self._pending)
        except TimeoutError:
            return False
        return True

    def is_own(self, frame: Frame) -> bool:
        """Whether this run of the client sent the message in ``frame``."""
        return frame.get("id") in self._own

    async def _send_kept(self, frame: Frame) -> str:
        identifier = str(uuid.uuid4())
        kept = {**frame, "id": identifier}
        self._pending[identifier] = kept
        self._own.add(identifier)
        await self.send(kept)
        return identifier

    # --- the connection ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stays connected until cancelled. Raises ChatError when no further attempt makes sense."""
        failures = 0
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http:
            while True:
                try:
                    await self._connected(http)
                except (LostError, aiohttp.ClientError, TimeoutError, OSError) as error:
                    failures = failures + 1 if self._socket is None else 1
                    self._socket = None
                    await self._pause(failures, error)

    async def _pause(self, failures: int, error: Exception) -> None:
        reason = "nobody answers" if isinstance(error, aiohttp.ClientConnectorError) else str(error)
        reason = reason or type(error).__name__
        attempts = self._patience.attempts if self._greeted else self._patience.at_first
        if attempts is not None and failures >= attempts:
            raise ChatError(f"no connection to {self.url}: {reason}. Remedy: ./foyer up, or --url") from error
        delay = self._patience.delay(failures)
        self._told(f"no connection ({reason}); trying again in {delay:.1f} s")
        await asyncio.sleep(delay)

    async def _connected(self, http: aiohttp.ClientSession) -> None:
        if not self._session_is_good:
            await self._open_session(http)
        address = self.url.replace("http", "ws", 1) + "/chat/ws"
        async with http.ws_connect(
            address, heartbeat=20, max_msg_size=1 << 20, headers=self._headers
        ) as socket:
            hello = {"type": "hello", "session": self.place.session, "last_seq": self.place.last_seq}
            await socket.send_json(hello)
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self._take(socket, json.loads(message.data))
            self._closed(socket.close_code)

    async def _open_session(self, http: aiohttp.ClientSession) -> None:
        body = {"resume": self.place.session} if self.place.session else {}
        async with http.post(f"{self.url}/chat/session", json=body, headers=self._headers) as answer:
            if answer.status in {429, 502, 503, 504}:
                raise LostError(f"the front door says {answer.status}")
            if answer.status != 201:
                raise ChatError(await _refusal(answer))
            session = await answer.json()
        self._begin_at(session["session"], session["thread"], session["last_seq"])
        self._session_is_good = True

    def _begin_at(self, token: str, thread: str, last_seq: int) -> None:
        self.resumed = thread == self.place.thread
        heard = self.place.last_seq if self.resumed else 0
        if not self._greeted:
            heard = min(heard, max(0, last_seq - self._replay))
        self.place = Place(token, thread, heard)

    def _closed(self, code: int | None) -> None:
        if code in _FINAL:
            raise ChatError(_FINAL[code])
        if code == _SESSION:
            self._session_is_good = False
            raise LostError("the session has ended; taking a new one")
        raise LostError("too many frames" if code == _FLOOD else "the front door closed it")

    # --- frames --------------------------------------------------------------------------------------------------

    async def _take(self, socket: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        kind = frame.get("type")
        if kind == "welcome":
            self._socket, self._greeted = socket, True
            self._heard(frame)
            for kept in list(self._pending.values()):
                await self.send(kept)
        elif kind == "message":
            await self._take_message(frame)
        elif kind == "ack":
            await self._settle(frame.get("id"))
        elif kind == "error":
            await self._take_error(socket, frame)
        else:
            self._heard(frame)

    async def _take_message(self, frame: Frame) -> None:
        if frame["seq"] <= self.place.last_seq:
            return
        self.place = replace(self.place, last_seq=frame["seq"])
        self._heard(frame)
        if frame.get("author", {}).get("kind") != "customer":
            await self.send({"type": "read", "seq": frame["seq"]})

    async def _take_error(self, socket: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        self._heard(frame)
        then = frame.get("then")
        if then == "retry" and frame.get("id") in self._pending:
            task = asyncio.create_task(self._again(frame["id"], float(frame.get("retry_after") or 1)))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        elif then == "drop":
            await self._settle(frame.get("id"))
        elif then == "end":
            raise ChatError(str(frame.get("message", "the front door ended this chat")))
        elif then == "reconnect":
            if frame.get("code") == "session_expired":
                self._session_is_good = False
            await socket.close()

    async def _again(self, identifier: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if identifier in self._pending:
            await self.send(self._pending[identifier])

    async def _settle(self, identifier: object) -> None:
        if isinstance(identifier, str):
            self._pending.pop(identifier, None)
        async with self._acked:
            self._acked.notify_all()


async def _refusal(answer: aiohttp.ClientResponse) -> str:
    message = f"status {answer.status}"
    with contextlib.suppress(aiohttp.ClientError, ValueError, KeyError, TypeError):
        message = (await answer.json())["error"]["message"]
    remedy = ". Remedy: use the home of that front door (--home), or set FOYER_CHAT_APP_KEY to its key"
    return f"the front door refused the chat: {message}{remedy if answer.status == 403 else ''}"
