"""The wire of one socket: frames in and out in bounded time, and an orderly end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import structlog
from aiohttp import WSMsgType, web

from .config import WebchatConfig
from .frames import MAX_FRAME

log = structlog.get_logger(__name__)

Frame = dict[str, Any]


def error_frame(
    code: str, message: str, then: str, frame_id: str | None = None, retry_after: float | None = None
) -> Frame:
    """An error as the socket sends it."""
    frame: Frame = {"type": "error", "code": code, "message": message, "then": then}
    if frame_id is not None:
        frame["id"] = frame_id
    if retry_after is not None:
        frame["retry_after"] = retry_after
    return frame


class Line:
    """The wire: hears and says frames in bounded time, and ends in an orderly way whoever asks for it.

    Only the request's own task reads and closes, so that the closing handshake is waited for: a client that is left
    alone in the middle of it does not learn the close code.
    """

    def __init__(self, request: web.Request, config: WebchatConfig) -> None:
        self._request = request
        self._config = config
        self._hearing: asyncio.Timeout | None = None
        self._ending: tuple[int, Frame | None] | None = None
        # Without compression: its buffers would cost each socket some hundred kilobytes.
        self.ws = web.WebSocketResponse(
            timeout=config.close_seconds,
            heartbeat=config.heartbeat_seconds,
            max_msg_size=2 * MAX_FRAME,
            compress=False,
        )

    async def hear(self, patience: float | None = None) -> str | bytes | None:
        """What the client sends next; None when the line has ended, or after `patience` seconds."""
        if self._ending is not None:
            return None
        try:
            async with asyncio.timeout(patience) as self._hearing:
                message = await self.ws.receive()
        except TimeoutError:
            return None
        finally:
            self._hearing = None
        return message.data if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None

    async def say(self, frame: Frame) -> None:
        """Sends a frame; a client that does not take it in time is cut off, one that is gone is left to the reader."""
        if self.ws.closed:
            return
        try:
            async with asyncio.timeout(self._config.send_seconds):
                await self.ws.send_str(json.dumps(frame, separators=(",", ":")))
        except TimeoutError:
            log.info("webchat.slow_reader")
            self._cut()
        except ConnectionError:
            pass

    def end(self, code: int, frame: Frame | None = None) -> None:
        """The line is to be closed, with last words; only the first call counts."""
        if self._ending is None:
            self._ending = (code, frame)
            if self._hearing is not None and not self._hearing.expired():
                self._hearing.reschedule(0)

    async def finish(self) -> None:
        """Closes the line if somebody ended it."""
        if self._ending is None:
            return
        code, frame = self._ending
        if frame is not None:
            await self.say(frame)
        try:
            async with asyncio.timeout(2 * self._config.close_seconds):
                await self.ws.close(code=code)
        except TimeoutError:
            self._cut()

    def _cut(self) -> None:
        """Drops the connection at once, with what was not yet sent."""
        if self._request.transport is not None:
            self._request.transport.abort()
