"""One customer's socket: greets, takes frames one after another, and says what happens in the thread.

Two tasks serve it: the request's own reads frames, the other waits for wake-ups of the thread and speaks. Memory is
bounded: frames are taken one at a time, and a client that does not read in time is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog
from aiohttp import web

from conversations import bus as topics
from conversations.control import Control
from conversations.errors import IdReused, NotFound, NotOffered, StoreUnavailable
from conversations.intake import Intake
from conversations.lifecycle import Lifecycle
from conversations.messages import Accepted, Inbound, Sender
from conversations.ports import Subscription
from conversations.store import Store, Transaction, threads, views
from conversations.store.views import ThreadView

from . import diff, sessions
from .config import WebchatConfig
from .frames import (
    CancelQueue,
    ClientFrame,
    CustomerRead,
    CustomerTyping,
    EndConversation,
    FrameError,
    Hello,
    Ping,
    SendChoice,
    SendMessage,
    parse,
)
from .hub import GOING_AWAY, Hub
from .limits import Clock, Limiter
from .line import Frame, Line, error_frame
from .sessions import SessionEnded
from .tokens import Claims, Tokens

log = structlog.get_logger(__name__)

REPLAY = 500
"""Messages sent behind a welcome, and messages that a socket may lag behind before it must reconnect."""
RETRY_S = 2
TYPING_PAUSE_S = 2.0
"""Typing lasts 6 s at the other end; saying it more often than this says nothing."""

BAD_FIRST_FRAME = 4400
BAD_SESSION = 4401
BAD_ORIGIN = 4403
NO_HELLO = 4408
FLOOD = 4429


@dataclass(frozen=True, slots=True)
class Resources:
    """What all sockets share. `accepted(channel)` hears of every message that was committed."""

    config: WebchatConfig
    store: Store
    intake: Intake
    lifecycle: Lifecycle
    tokens: Tokens
    hub: Hub
    frames: Limiter
    patience: Limiter
    clock: Clock
    accepted: Callable[[str], None]


async def serve(
    request: web.Request, resources: Resources, may_enter: Callable[[str | None], bool]
) -> web.StreamResponse:
    """One socket, from upgrade to close. `may_enter(account)` judges the request's origin; None: any account."""
    line = Line(request, resources.config)
    await line.ws.prepare(request)
    with resources.hub.line(line):
        greeting = await _entered(line, resources, may_enter)
        if greeting is not None:
            await ChatSocket(line, resources, *greeting).run()
        await line.finish()
    return line.ws


async def _entered(
    line: Line, resources: Resources, may_enter: Callable[[str | None], bool]
) -> tuple[Claims, int] | None:
    """Who has come, and up to which message they know the thread; None when the line was ended instead."""
    if not may_enter(None):
        line.end(BAD_ORIGIN)
        return None
    greeting = await _greeted(line, resources)
    if greeting is not None and not may_enter(greeting[0].account):
        line.end(BAD_ORIGIN)
        return None
    return greeting


async def _greeted(line: Line, resources: Resources) -> tuple[Claims, int] | None:
    """The claims and `last_seq` of a proper hello; otherwise the line is ended."""
    data = await line.hear(resources.config.hello_seconds)
    if data is None:
        line.end(NO_HELLO)
        return None
    hello = _hello(data)
    if isinstance(hello, FrameError):
        line.end(BAD_FIRST_FRAME, error_frame("bad_frame", hello.message, "end"))
        return None
    claims = resources.tokens.read(hello.session)
    if claims is None:
        line.end(BAD_SESSION, _session_error("this is not a session of ours"))
        return None
    # A hello costs more than any other frame, so it counts as one.
    if resources.frames.take(claims.session):
        line.end(FLOOD, error_frame("rate_limited", "too many connections", "reconnect", retry_after=1))
        return None
    return claims, hello.last_seq


def _hello(data: str | bytes) -> Hello | FrameError:
    if isinstance(data, bytes):
        return FrameError("bad_frame", "frames are text")
    try:
        frame = parse(data)
    except FrameError as error:
        return error
    return frame if isinstance(frame, Hello) else FrameError("bad_frame", "the first frame is a hello")


def _session_error(message: str) -> Frame:
    return error_frame("session_expired", message, "reconnect")


class ChatSocket:
    """A socket with a session. `view` is what its client has been told."""

    __slots__ = (
        "_claims",
        "_last_seq",
        "_line",
        "_looking",
        "_r",
        "_sender",
        "_speaker",
        "_subscription",
        "_typed_at",
        "session",
        "thread",
        "view",
    )

    def __init__(self, line: Line, resources: Resources, claims: Claims, last_seq: int) -> None:
        self._line = line
        self._r = resources
        self._claims = claims
        self._last_seq = last_seq
        self._looking = asyncio.Lock()
        self._speaker: asyncio.Task[None] | None = None
        self._typed_at = float("-inf")
        self.session = claims.session
        self.thread = claims.thread
        self.view: ThreadView
        self._sender: Sender
        self._subscription: Subscription

    async def run(self) -> None:
        """Serves the socket until either side ends it."""
        self._subscription = self._r.store.bus.subscribe(topics.thread_topic(self.thread))
        try:
            if await self._welcomed():
                self._speaker = asyncio.create_task(self._speak())
                self._speaker.add_done_callback(self._fell_silent)
                await self._listen()
        finally:
            self._subscription.close()
            self._r.hub.remove(self)
            if self._speaker is not None:
                self._speaker.cancel()

    # ------------------------------------------------ what the hub asks

    def refresh(self) -> None:
        """Looks at the thread soon, although nobody woke this socket."""
        self._r.hub.spawn(self._refreshed())

    def move(self, position: int) -> None:
        """Tells another place in the queue, unless the conversation left it meanwhile."""
        self._r.hub.spawn(self._moved(position))

    def end(self, code: int, frame: Frame | None = None) -> None:
        """Closes soon; only the first call counts."""
        self._line.end(code, frame)

    # ---------------------------------------------------------- speaking

    async def _welcomed(self) -> bool:
        """Says where the thread stands and what was missed; False when there is no session to serve."""
        async with self._looking:
            try:
                self._sender, after, self.view = await self._r.store.read(self._first_look)
            except (SessionEnded, NotFound):
                self._expired()
                return False
            except StoreUnavailable:
                self.end(GOING_AWAY, _unavailable("reconnect"))
                return False
            self._r.hub.add(self)
            await self._greet(truncated=after > self._last_seq)
            return True

    async def _greet(self, truncated: bool) -> None:
        view, self.view = self.view, replace(self.view, messages=())
        await self._line.say(diff.welcome(view, truncated))
        for message in view.messages:
            await self._line.say(diff.message_frame(message))
        for frame in diff.place(view):
            await self._line.say(frame)

    def _first_look(self, tx: Transaction) -> tuple[Sender, int, ThreadView]:
        sessions.check(tx, self._claims)
        thread = threads.find(tx, self.thread)
        # A client that claims to have more than there is confuses this thread with another: it gets everything.
        if self._last_seq > thread.last_seq:
            self._last_seq = 0
        after = max(self._last_seq, thread.last_seq - REPLAY)
        return sessions.sender_of(thread), after, views.thread_view(tx, self.thread, after, REPLAY)

    async def _speak(self) -> None:
        again: float | None = None
        while True:
            for note in await self._subscription.wait(again):
                await self._pass_on(note)
            again = None if await self._looked() else RETRY_S

    def _fell_silent(self, speaker: asyncio.Task[None]) -> None:
        """A socket that can no longer speak is no use to its client: a new one may be."""
        if not speaker.cancelled() and (error := speaker.exception()) is not None:
            log.error("webchat.fell_silent", thread=self.thread, error=type(error).__name__)
            self.end(GOING_AWAY)

    async def _pass_on(self, note: Mapping[str, Any]) -> None:
        """Typing and read marks of the others in the thread; whatever else travels on the bus is not for customers."""
        author, seq = note.get("author"), note.get("seq")
        if note.get("type") == "typing" and isinstance(author, Mapping) and note.get("by") != id(self):
            shown = {name: str(author[name]) for name in ("kind", "name") if author.get(name)}
            await self._line.say({"type": "typing", "author": shown})
        elif note.get("type") == "read" and isinstance(seq, int):
            await self._line.say({"type": "read", "seq": seq})

    async def _refreshed(self) -> None:
        await self._looked()

    async def _looked(self) -> bool:
        """Tells what is new; False when the store could not say."""
        try:
            await self._look()
        except StoreUnavailable:
            return False
        except (SessionEnded, NotFound):
            self._expired()
        except Exception as error:  # an error's text may hold what a customer wrote
            log.error("webchat.look_failed", thread=self.thread, error=type(error).__name__)  # noqa: TRY400
            self.end(GOING_AWAY)
        return True

    async def _look(self) -> None:
        async with self._looking:
            before = self.view
            after = await self._r.store.read(lambda tx: self._next_look(tx, before.last_seq))
            if after.messages and after.messages[-1].seq != after.last_seq:
                self.end(GOING_AWAY)  # hopelessly behind: a new socket gets a replay that is cut short
                return
            self.view = replace(after, messages=())
            for frame in diff.frames(before, after):
                await self._line.say(frame)

    def _next_look(self, tx: Transaction, after: int) -> ThreadView:
        sessions.check(tx, self._claims)
        return views.thread_view(tx, self.thread, after, REPLAY)

    async def _moved(self, position: int) -> None:
        async with self._looking:
            if self.view.control is Control.QUEUE and self.view.position != position:
                self.view = replace(self.view, position=position)
                for frame in diff.place(self.view):
                    await self._line.say(frame)

    def _expired(self) -> None:
        self.end(BAD_SESSION, _session_error("this session has ended; open a new one"))

    # --------------------------------------------------------- listening

    async def _listen(self) -> None:
        while (data := await self._line.hear()) is not None:
            await self._take(data)

    async def _take(self, data: str | bytes) -> None:
        wait = self._r.frames.take(self.session)
        if wait and self._r.patience.take(self.session):
            self.end(FLOOD, error_frame("rate_limited", "far too many frames", "reconnect"))
            return
        try:
            if isinstance(data, bytes):
                raise FrameError("bad_frame", "frames are text")  # noqa: TRY301
            frame = parse(data)
            if wait:
                await self._slow_down(frame, wait)
            else:
                await self._answer(frame)
        except FrameError as error:
            await self._refuse(error.code, error.message, error.frame_id)

    async def _slow_down(self, frame: ClientFrame, wait: float) -> None:
        frame_id = getattr(frame, "id", None)
        message = "too many frames: wait a moment"
        await self._line.say(
            error_frame("rate_limited", message, "retry", frame_id, retry_after=round(wait + 0.005, 2))
        )

    async def _refuse(self, code: str, message: str, frame_id: str | None = None) -> None:
        await self._line.say(error_frame(code, message, "drop", frame_id))

    async def _answer(self, frame: ClientFrame) -> None:
        match frame:
            case SendMessage():
                await self._accept(
                    Inbound(self._sender, self._event(frame.id), frame.text, client_id=frame.id)
                )
            case SendChoice():
                choice = (frame.seq, frame.payload)
                await self._accept(
                    Inbound(self._sender, self._event(frame.id), choice=choice, client_id=frame.id)
                )
            case CancelQueue():
                await self._change(self._r.lifecycle.cancel_queue)
            case EndConversation():
                await self._change(self._r.lifecycle.end_by_customer)
            case CustomerTyping():
                self._typing()
            case CustomerRead():
                self._tell_desk({"type": "read", "seq": min(frame.seq, self.view.last_seq)})
            case Ping():
                await self._line.say({"type": "pong"})
            case Hello():
                await self._refuse("bad_frame", "a hello comes once, first")
            case _:
                await self._refuse("not_supported", f"{frame.type} is not supported yet", frame.id)

    def _event(self, frame_id: str) -> str:
        return f"{self.thread}:{frame_id}"

    async def _accept(self, inbound: Inbound) -> None:
        """Commits a message, and only then acknowledges it."""

        def job(tx: Transaction) -> Accepted:
            sessions.check(tx, self._claims)
            return self._r.intake.accept(tx, inbound)

        async def write() -> None:
            accepted = await self._r.store.write(job)
            if not accepted.duplicate:
                self._r.accepted(sessions.CHANNEL)
            await self._line.say({"type": "ack", "id": inbound.client_id, "seq": accepted.seq})

        await self._attempt(write, inbound.client_id)

    async def _change(self, verb: Callable[[Transaction, str], bool]) -> None:
        """Does what the customer decided; when there was nothing to decide, says how the thread stands."""

        def job(tx: Transaction) -> bool:
            sessions.check(tx, self._claims)
            return verb(tx, self.thread)

        async def write() -> None:
            if not await self._r.store.write(job):
                await self._line.say(diff.control(self.view))

        await self._attempt(write)

    async def _attempt(self, write: Callable[[], Awaitable[None]], frame_id: str | None = None) -> None:
        try:
            await write()
        except (IdReused, NotOffered) as error:
            await self._refuse(error.code, str(error), frame_id)
        except SessionEnded:
            self._expired()
        except StoreUnavailable:
            await self._line.say(_unavailable("retry", frame_id))
        except Exception as error:  # an error's text may hold what a customer wrote
            log.error("webchat.frame_failed", thread=self.thread, error=type(error).__name__)  # noqa: TRY400
            await self._line.say(_unavailable("retry", frame_id))

    # ------------------------------------------------------ passing notes

    def _typing(self) -> None:
        now = self._r.clock()
        if now - self._typed_at < TYPING_PAUSE_S:
            return
        self._typed_at = now
        author = {"kind": "customer"}
        self._r.store.bus.publish(
            topics.thread_topic(self.thread), {"type": "typing", "author": author, "by": id(self)}
        )
        self._tell_desk({"type": "typing", "author": author})

    def _tell_desk(self, note: Frame) -> None:
        """Nobody at the desk follows a conversation that is the assistant's alone."""
        if self.view.control in (Control.QUEUE, Control.AGENT):
            about = {"conversation": self.view.conversation, "thread": self.thread}
            self._r.store.bus.publish(topics.DESK, note | about)


def _unavailable(then: str, frame_id: str | None = None) -> Frame:
    message = "this could not be stored just now; try again"
    return error_frame("unavailable", message, then, frame_id, retry_after=RETRY_S)
