"""The desk's API: who may do what at which address. Handlers read the request, run one job on the store, and answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import structlog
from aiohttp import web
from pydantic import BaseModel

from conversations.bus import thread_topic
from conversations.errors import FoyerError, NotFound
from conversations.lifecycle import Lifecycle
from conversations.messages import Message
from conversations.store import Store, Transaction, conversations

from . import agents, events, http, passwords, reading, schema, sessions, speaking
from .agents import Agent, Presence
from .context import ContextNow
from .hub import Hub, Seat, running
from .records import Handoff
from .room import HandoffRoom, NotYours, author_of
from .sessions import LoginLimits, Session

log = structlog.get_logger(__name__)

MAX_PAGE = 200
MAX_SOCKETS = 20
MAX_EVENT = 2**53
MAX_LOGINS_WAITING = 50
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
ID = r"{id:[0-9A-Za-z_-]{1,64}}"


class Gauge(Protocol):
    """Counts what is open."""

    def inc(self) -> None: ...
    def dec(self) -> None: ...


@dataclass(frozen=True, slots=True)
class DeskConfig:
    """`installation` goes into the cookie's name; `origins` are those that may send changes with the cookie."""

    installation: str
    origins: tuple[str, ...]
    secure_cookie: bool = False
    session_seconds: int = 12 * 3600
    heartbeat_seconds: float = 20
    limits: LoginLimits = field(default_factory=LoginLimits)

    @property
    def cookie(self) -> str:
        return f"foyer_desk_{self.installation}"


class Who(Enum):
    """Who may use an address."""

    ANYBODY = "anybody"
    LOGGED_IN = "agent, supervisor or admin"
    SERVING = "agent or supervisor"
    SUPERVISOR = "supervisor"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was let in; `body` is an instance of the route's model."""

    request: web.Request
    session: Session
    body: Any

    @property
    def agent(self) -> Agent:
        return self.session.agent

    @property
    def id(self) -> str:
        return self.request.match_info["id"]


Handler = Callable[["Desk", Asked], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One address: what it takes and gives. `problems` are the statuses that are its own."""

    method: str
    path: str
    who: Who
    summary: str
    handler: Handler
    body: type[BaseModel] | None = None
    answers: tuple[tuple[int, type[BaseModel]], ...] = ((200, schema.Nothing),)
    problems: tuple[int, ...] = ()

    @property
    def pattern(self) -> str:
        return self.path.replace("{id}", ID)


@dataclass(slots=True)
class Desk:
    """The handlers over one store."""

    config: DeskConfig
    store: Store
    lifecycle: Lifecycle
    room: HandoffRoom
    hub: Hub
    sockets: Gauge | None = None
    logins: int = 0

    # ------------------------------------------------------------- sessions

    async def login(self, request: web.Request) -> web.Response:
        self._must_not_be_foreign(request)
        body = await http.read_body(request, schema.LoginBody)
        limits = self.config.limits
        guess = await self.store.write(
            lambda tx: sessions.count_guess(tx, limits, body.email, request.remote or "")
        )
        if guess.retry_after is not None:
            raise http.Refusal(
                429,
                "rate_limited",
                "Too many log-ins failed. Try again later.",
                {"retry_after": guess.retry_after},
                **{"Retry-After": str(guess.retry_after)},
            )
        found = await self.store.read(lambda tx: sessions.stored_password(tx, body.email))
        right = await self._checked(found[1] if found else None, body.password)
        if found is None or not right:
            raise http.Refusal(401, "bad_credentials", "E-mail address or password is wrong.")
        token = sessions.new_token()

        def job(tx: Transaction) -> Agent:
            sessions.forgive(tx, guess)
            sessions.begin(tx, found[0], token, sessions.COOKIE, self.config.session_seconds)
            return agents.find(tx, found[0])

        agent = await self.store.write(job)
        response = web.json_response({"agent": agent.as_json()})
        response.set_cookie(
            self.config.cookie,
            token,
            max_age=self.config.session_seconds,
            path="/desk",
            secure=self.config.secure_cookie,
            httponly=True,
            samesite="Strict",
        )
        return response

    async def _checked(self, stored: str | None, password: str) -> bool:
        if self.logins >= MAX_LOGINS_WAITING:
            raise http.Refusal(
                503, "busy", "Too many log-ins at once. Try again.", None, **{"Retry-After": "5"}
            )
        self.logins += 1
        try:
            return await passwords.matches(stored, password)
        finally:
            self.logins -= 1

    async def logout(self, asked: Asked) -> web.Response:
        await self.store.write(lambda tx: sessions.end(tx, asked.session))
        response = web.json_response({})
        response.del_cookie(self.config.cookie, path="/desk")
        return response

    async def me(self, asked: Asked) -> web.Response:
        return web.json_response({"agent": asked.agent.as_json()})

    async def presence(self, asked: Asked) -> web.Response:
        state, reason = Presence(asked.body.state), asked.body.reason
        agent = await self.store.write(lambda tx: agents.set_presence(tx, asked.agent.id, state, reason))
        return web.json_response({"agent": agent.as_json()})

    # ---------------------------------------------------------------- state

    async def state(self, asked: Asked) -> web.Response:
        return web.json_response(
            await self.store.read(lambda tx: reading.state(tx, asked.agent.id, self.room.queues))
        )

    # ------------------------------------------------------------- handoffs

    async def context(self, asked: Asked) -> web.Response:
        return web.json_response(await self.store.read(lambda tx: reading.context(tx, asked.agent, asked.id)))

    async def accept(self, asked: Asked) -> web.Response:
        return await self._handoff(lambda tx: self.room.accept(tx, asked.id, asked.agent))

    async def decline(self, asked: Asked) -> web.Response:
        return await self._handoff(lambda tx: self.room.decline(tx, asked.id, asked.agent, asked.body.reason))

    async def transfer(self, asked: Asked) -> web.Response:
        body: schema.TransferBody = asked.body
        if body.agent is not None:
            raise http.Refusal(422, "not_supported", "A transfer to an agent is not supported yet.")
        return await self._handoff(
            lambda tx: self.room.transfer(tx, asked.id, asked.agent, body.queue, body.note)
        )

    async def give_back(self, asked: Asked) -> web.Response:
        return await self._handoff(lambda tx: self.room.give_back(tx, asked.id, asked.agent, asked.body.note))

    async def resolve(self, asked: Asked) -> web.Response:
        body: schema.ResolveBody = asked.body
        return await self._handoff(
            lambda tx: self.room.resolve(
                tx, asked.id, asked.agent, body.disposition, body.note, body.after_seq
            )
        )

    async def take_over(self, asked: Asked) -> web.Response:
        return await self._handoff(lambda tx: self.room.take_over(tx, self.lifecycle, asked.id, asked.agent))

    async def _handoff(self, job: Callable[[Transaction], Handoff]) -> web.Response:
        return web.json_response(events.handoff_json(await self.store.write(job)))

    # -------------------------------------------------------- conversations

    async def history(self, asked: Asked) -> web.Response:
        before = http.number(asked.request, "before", None)
        limit = http.number(asked.request, "limit", 50) or 0
        page = await self.store.read(
            lambda tx: reading.history(tx, asked.agent, asked.id, before, min(max(limit, 1), MAX_PAGE))
        )
        return web.json_response(page)

    async def say(self, asked: Asked) -> web.Response:
        body: schema.MessageBody = asked.body
        for part in ("upload", "template"):
            if getattr(body, part) is not None:
                raise http.Refusal(422, "not_supported", f"Messages with {part} are not supported yet.")
        text = body.text
        if text is None:
            raise http.Refusal(422, "invalid", "text is missing.")
        return _said(
            await self.store.write(
                lambda tx: speaking.say(tx, asked.agent, asked.id, body.id, text, body.after_seq)
            )
        )

    async def note(self, asked: Asked) -> web.Response:
        body: schema.NoteBody = asked.body
        return _said(
            await self.store.write(lambda tx: speaking.note(tx, asked.agent, asked.id, body.id, body.text))
        )

    async def typing(self, asked: Asked) -> web.Response:
        def job(tx: Transaction) -> str:
            conversation = conversations.find(tx, asked.id)
            if conversation.agent_id != asked.agent.id:
                raise NotYours("this conversation is not yours")
            return conversation.thread_id

        thread = await self.store.read(job)
        note = {"type": "typing", "author": author_of(asked.agent).as_json()}
        self.store.bus.publish(thread_topic(thread), note)
        return web.json_response({})

    async def customer(self, asked: Asked) -> web.Response:
        return web.json_response(
            await self.store.read(lambda tx: reading.customer(tx, asked.agent, asked.id))
        )

    # --------------------------------------------------------------- stream

    async def stream(self, asked: Asked) -> web.StreamResponse:
        after = http.number(asked.request, "after", None, MAX_EVENT)
        socket = web.WebSocketResponse(
            timeout=2, heartbeat=self.config.heartbeat_seconds, max_msg_size=16 * 1024
        )
        if not socket.can_prepare(asked.request).ok:
            raise http.Refusal(426, "upgrade_required", "This address speaks WebSocket.", Upgrade="websocket")
        seat, reset = await self.hub.join(asked.session, after)
        if self.sockets:
            self.sockets.inc()
        try:
            await socket.prepare(asked.request)
            await self._serve(socket, seat, reset)
        finally:
            self.hub.leave(seat)
            if self.sockets:
                self.sockets.dec()
            await self._note_seen(seat)
        return socket

    async def _serve(self, socket: web.WebSocketResponse, seat: Seat, reset: str | None) -> None:
        if len(self.hub.seats_of(seat.agent.id)) > MAX_SOCKETS:
            await socket.close(code=4409, message=b"too many sockets of this agent")
            return
        if reset is not None:
            await socket.send_str(reset)
        tasks = {asyncio.create_task(self._send(socket, seat)), asyncio.create_task(_listen(socket))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Nobody may be reading when the socket is closed: only then is the client's farewell waited for.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if seat.close_code is not None:
            await socket.close(code=seat.close_code)

    async def _send(self, socket: web.WebSocketResponse, seat: Seat) -> None:
        while seat.close_code is None:
            await seat.woken.wait()
            seat.woken.clear()
            try:
                frames = await self.hub.next_for(seat) if seat.close_code is None else []
            except FoyerError:
                frames = []  # the database is gone for a moment; the reader wakes us again
            for text in frames:
                await socket.send_str(text)

    async def _note_seen(self, seat: Seat) -> None:
        with contextlib.suppress(FoyerError):
            await self.store.write(lambda tx: agents.note_seen(tx, seat.agent.id))

    # ---------------------------------------------------------------- gates

    async def admit(self, request: web.Request, route: Route) -> Asked:
        """Who asks, and with what. Raises Refusal."""
        session = await self._session(request)
        if not _allowed(session.agent, route.who):
            raise http.Refusal(403, "forbidden", f"This is for: {route.who.value}.")
        body = await http.read_body(request, route.body) if route.body is not None else None
        return Asked(request, session, body)

    async def _session(self, request: web.Request) -> Session:
        """The session of a Bearer token, or of the cookie together with an origin of ours. Raises Refusal."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        bearer = scheme.lower() == "bearer"
        token = given.strip() if bearer else request.cookies.get(self.config.cookie, "")
        key = sessions.key_of(token)
        session = await self.store.read(lambda tx: sessions.find(tx, key)) if token else None
        if session is None or session.kind != (sessions.API if bearer else sessions.COOKIE):
            raise http.Refusal(401, "unauthorized", "Log in first.")
        upgrades = request.headers.get("Upgrade", "").lower() == "websocket"
        if not bearer and (request.method in UNSAFE or upgrades) and not self._is_ours(request):
            raise http.Refusal(403, "wrong_origin", "This must come from the desk's own pages.")
        return session

    def _is_ours(self, request: web.Request) -> bool:
        origins = request.headers.getall("Origin", [])
        ours = {origin.lower().rstrip("/") for origin in self.config.origins}
        return len(origins) == 1 and origins[0].lower() in ours

    def _must_not_be_foreign(self, request: web.Request) -> None:
        """Programs log in without an origin; a page that names one must be ours."""
        if "Origin" in request.headers and not self._is_ours(request):
            raise http.Refusal(403, "wrong_origin", "This must come from the desk's own pages.")


async def _listen(socket: web.WebSocketResponse) -> None:
    """Until the client leaves. It only listens here, and does what it does over HTTP; a ping shows that we are there."""
    async for frame in socket:
        if frame.type is web.WSMsgType.TEXT and '"ping"' in frame.data[:64]:
            await socket.send_str('{"type": "pong"}')


def _allowed(agent: Agent, who: Who) -> bool:
    if who is Who.SERVING:
        return agent.serves
    return agent.supervises if who is Who.SUPERVISOR else True


def _said(written: tuple[Message, bool]) -> web.Response:
    message, new = written
    return web.json_response({"message": message.for_desk()}, status=201 if new else 200)


# -------------------------------------------------------------------- routes


async def _login(desk: Desk, asked: Asked) -> web.StreamResponse:
    raise AssertionError("logging in needs no session")


API = "/desk/api"
HANDOFF = ((200, schema.HandoffShape),)
SAID = ((200, schema.MessageAnswer), (201, schema.MessageAnswer))

ROUTES: Sequence[Route] = (
    Route(
        "POST", f"{API}/login", Who.ANYBODY, "Log in", _login, schema.LoginBody,
        ((200, schema.LoginAnswer),), (429,),
    ),
    Route("POST", f"{API}/logout", Who.LOGGED_IN, "Log out; closes the session's sockets", Desk.logout, schema.Nothing),
    Route("GET", f"{API}/me", Who.LOGGED_IN, "Who I am", Desk.me, None, ((200, schema.LoginAnswer),)),
    Route(
        "PUT", f"{API}/me/presence", Who.SERVING, "Say how I can be reached", Desk.presence,
        schema.PresenceBody, ((200, schema.LoginAnswer),),
    ),
    Route(
        "GET", f"{API}/state", Who.LOGGED_IN, "The first screen, at one event number", Desk.state, None,
        ((200, schema.State),),
    ),
    Route(
        "GET", f"{API}/handoffs/{{id}}", Who.LOGGED_IN, "The whole context of a handoff", Desk.context, None,
        ((200, ContextNow),), (404,),
    ),
    Route(
        "POST", f"{API}/handoffs/{{id}}/accept", Who.SERVING, "Take a waiting conversation", Desk.accept,
        schema.Nothing, HANDOFF, (404, 409),
    ),
    Route(
        "POST", f"{API}/handoffs/{{id}}/decline", Who.SERVING, "Leave it to others; it stays in the queue",
        Desk.decline, schema.DeclineBody, HANDOFF, (404, 409),
    ),
    Route(
        "POST", f"{API}/handoffs/{{id}}/transfer", Who.SERVING, "Back to a queue", Desk.transfer,
        schema.TransferBody, HANDOFF, (404, 409),
    ),
    Route(
        "POST", f"{API}/handoffs/{{id}}/return", Who.SERVING, "Back to the assistant", Desk.give_back,
        schema.ReturnBody, HANDOFF, (404, 409),
    ),
    Route(
        "POST", f"{API}/handoffs/{{id}}/resolve", Who.SERVING, "End the conversation as answered", Desk.resolve,
        schema.ResolveBody, HANDOFF, (404, 409),
    ),
    Route(
        "GET", f"{API}/conversations/{{id}}/messages", Who.LOGGED_IN,
        "Messages before a number, and the notes", Desk.history, None, ((200, schema.MessagesAnswer),), (404,),
    ),
    Route(
        "POST", f"{API}/conversations/{{id}}/messages", Who.SERVING, "Write to the customer", Desk.say,
        schema.MessageBody, SAID, (404, 409),
    ),
    Route(
        "POST", f"{API}/conversations/{{id}}/notes", Who.SERVING, "Write a note that only the desk sees",
        Desk.note, schema.NoteBody, SAID, (404, 409),
    ),
    Route(
        "POST", f"{API}/conversations/{{id}}/typing", Who.SERVING, "I am typing", Desk.typing, schema.Nothing,
        problems=(404,),
    ),
    Route(
        "POST", f"{API}/conversations/{{id}}/takeover", Who.SUPERVISOR,
        "Take the conversation from whoever has it", Desk.take_over, schema.Nothing, HANDOFF, (404, 409),
    ),
    Route(
        "GET", f"{API}/customers/{{id}}", Who.LOGGED_IN, "A customer and their conversations", Desk.customer,
        None, ((200, schema.CustomerAnswer),), (404,),
    ),
    Route("GET", "/desk/ws", Who.LOGGED_IN, "Numbered events behind `after`, over a WebSocket", Desk.stream, None, (), (426,)),
)  # fmt: skip


def setup(
    app: web.Application,
    config: DeskConfig,
    store: Store,
    lifecycle: Lifecycle,
    handoffs: HandoffRoom,
    sockets: Gauge | None = None,
) -> None:
    """Adds the desk's addresses and its event stream to the application. `sockets` counts open ones."""
    desk = Desk(config, store, lifecycle, handoffs, Hub(store), sockets)
    for route in ROUTES:
        app.router.add_route(route.method, route.pattern, _handled(desk, route))
    app.router.add_route("*", API + "/{rest:.*}", _unknown)

    async def streaming(_: web.Application) -> AsyncIterator[None]:
        async with running(desk.hub):
            yield

    async def going_away(_: web.Application) -> None:
        desk.hub.close_all()

    app.cleanup_ctx.append(streaming)
    app.on_shutdown.append(going_away)


def _handled(desk: Desk, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            if route.who is Who.ANYBODY:
                return await desk.login(request)
            return await route.handler(desk, await desk.admit(request, route))
        except http.Refusal as refusal:
            return refusal.response()
        except FoyerError as error:
            return http.refusal_for(error).response()

    return handle


async def _unknown(request: web.Request) -> web.StreamResponse:
    return http.refusal_for(NotFound("there is no such address, or not with this method")).response()
