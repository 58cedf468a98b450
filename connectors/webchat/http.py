"""Web chat over HTTP: sessions, history, the way to the socket; who may come in, and from where."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Any

from aiohttp import hdrs, web
from pydantic import ValidationError

from conversations.errors import StoreUnavailable
from conversations.messages import Sender, new_id, rfc3339
from conversations.store import Transaction, messages

from . import sessions, socket
from .config import Site
from .frames import MAX_SEQ, SessionRequest
from .identity import BadIdentity, Person
from .limits import Limiter, peer_key
from .sessions import Opened, SessionEnded, Wanted
from .socket import Resources
from .tokens import Claims

MAX_BODY = 16 * 1024
PAGE = 50
MAX_PAGE = 200
APP_KEY = "X-Foyer-App"
SAME = {"Cache-Control": "no-store"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """An answer that is an error, in the protocol's shape."""

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers: dict[str, str] = {}

    def retry_after(self, seconds: float) -> Refused:
        self.headers["Retry-After"] = str(max(1, math.ceil(seconds)))
        return self

    def response(self) -> web.Response:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = self.details
        return web.json_response({"error": error}, status=self.status, headers=self.headers | SAME)


class WebchatHttp:
    """The handlers. `opening` limits who opens sessions, by peer address and by session."""

    def __init__(self, resources: Resources, opening: Limiter) -> None:
        self._r = resources
        self._opening = opening
        self._origins = resources.config.all_origins()
        self._verifiers = resources.config.verifiers()

    def routes(self) -> list[web.AbstractRouteDef]:
        """Every address of web chat, preflights among them."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/chat/session", self.open),
            ("POST", "/chat/session/end", self.end),
            ("GET", "/chat/messages", self.history),
            ("POST", "/chat/upload", self.upload),
        ]
        routes: list[web.AbstractRouteDef] = [web.get("/chat/ws", self.socket, allow_head=False)]
        for method, path, handler in table:
            routes.append(web.route(method, path, self._guarded(handler)))
            routes.append(web.options(path, self._guarded(_preflight(method))))
        return routes

    # ---------------------------------------------------------- handlers

    async def open(self, request: web.Request) -> web.StreamResponse:
        """`POST /chat/session`."""
        body = _session_request(await _json_body(request))
        self._admit(request, self._site(body.account), known=False)
        if body.identity is None:
            opened = await self._resumed(body) or await self._fresh(request, body)
        else:
            opened = await self._identified(request, body, body.identity)
        answer = {
            "session": self._r.tokens.sign(opened.claims),
            "thread": opened.claims.thread,
            "conversation": opened.conversation,
            "last_seq": opened.last_seq,
            "expires_at": rfc3339(opened.claims.expires_at),
        }
        return web.json_response(answer, status=201, headers=SAME)

    async def end(self, request: web.Request) -> web.StreamResponse:
        """`POST /chat/session/end`."""
        claims = self._bearer(request)
        await self._r.store.write(lambda tx: sessions.end(tx, claims))
        return web.json_response({"ended": True}, headers=SAME)

    async def history(self, request: web.Request) -> web.StreamResponse:
        """`GET /chat/messages`."""
        claims = self._bearer(request)
        before = _number(request, "before", None, MAX_SEQ)
        limit = _number(request, "limit", PAGE, MAX_PAGE) or PAGE

        def job(tx: Transaction) -> list[dict[str, Any]]:
            sessions.check(tx, claims)
            return [m.for_customer() for m in messages.before(tx, claims.thread, before, limit)]

        found = await self._r.store.read(job)
        more = bool(found) and found[0]["seq"] > 1
        return web.json_response({"messages": found, "more": more}, headers=SAME)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """`POST /chat/upload`: not there yet, and says so."""
        self._bearer(request)
        raise Refused(501, "not_supported", "uploads are not supported yet")

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """`GET /chat/ws`."""

        def may_enter(account: str | None) -> bool:
            site = None if account is None else self._r.config.site(account)
            if account is not None and site is None:
                return False
            return self._may_enter(request, site)

        return await socket.serve(request, self._r, may_enter)

    # ----------------------------------------------------- opening a chat

    async def _resumed(self, body: SessionRequest) -> Opened | None:
        """The session that the token names, when it stands; None gives its bearer a fresh thread."""
        claims = None if body.resume is None else self._r.tokens.read(body.resume)
        if claims is None:
            return None
        self._limit(f"session:{claims.session}")
        life = self._r.config.session_seconds
        try:
            return await self._r.store.write(
                lambda tx: sessions.resume(tx, claims, body.account, body.locale, life)
            )
        except SessionEnded:
            return None

    async def _fresh(self, request: web.Request, body: SessionRequest) -> Opened:
        self._limit(f"peer:{peer_key(request.remote)}")
        address = secrets.token_urlsafe(24)
        sender = Sender(body.account, sessions.CHANNEL, address, locale=body.locale, outbox=False)
        session, life = new_id(), self._r.config.session_seconds
        return await self._r.store.write(lambda tx: sessions.create(tx, session, sender, life))

    async def _identified(self, request: web.Request, body: SessionRequest, token: str) -> Opened:
        """A session on the thread of whom the site names."""
        person = await self._person(request, body.account, token)
        claims = None if body.resume is None else self._r.tokens.read(body.resume)
        self._limit(f"peer:{peer_key(request.remote)}" if claims is None else f"session:{claims.session}")
        wanted = Wanted(new_id(), body.account, body.locale, self._r.config.session_seconds)
        return await self._r.store.write(lambda tx: sessions.open_as(tx, wanted, person, claims))

    async def _person(self, request: web.Request, account: str, token: str) -> Person:
        verifier = self._verifiers.get(account)
        if verifier is None:
            raise Refused(422, "not_supported", "this account takes no signed identities", field="identity")
        now = await self._r.store.read(lambda tx: tx.now)
        try:
            return verifier.read(token, now / 1000)
        except BadIdentity as error:
            self._limit(f"peer:{peer_key(request.remote)}")
            raise _unauthorized(str(error), "bad_identity", reason=error.reason) from None

    def _limit(self, key: str) -> None:
        wait = self._opening.take(key)
        if wait:
            raise Refused(429, "rate_limited", "too many chats are being opened from here").retry_after(wait)

    def _site(self, account: str) -> Site:
        site = self._r.config.site(account)
        if site is None:
            raise Refused(422, "unknown_account", "there is no such account", field="account")
        return site

    # ------------------------------------------------------ who may come in

    def _bearer(self, request: web.Request) -> Claims:
        """The claims of the request's token, from an origin that its account allows."""
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        claims = self._r.tokens.read(token.strip()) if scheme.lower() == "bearer" else None
        if claims is None:
            raise _unauthorized("this needs the session: Authorization: Bearer <session>")
        self._admit(request, self._r.config.site(claims.account), known=True)
        return claims

    def _admit(self, request: web.Request, site: Site | None, known: bool) -> None:
        if site is None or not (self._may_enter(request, site) if known else self._may_open(request, site)):
            raise _bad_origin(request)

    def _may_open(self, request: web.Request, site: Site) -> bool:
        """A browser from an allowed origin, or a program that holds the app key."""
        if hdrs.ORIGIN in request.headers:
            return self._origin_allowed(request, site)
        return _has_key(request, site)

    def _may_enter(self, request: web.Request, site: Site | None) -> bool:
        """For who shows a session: the origin must be allowed. Where there is none the session is proof enough, since
        browsers leave `Origin` out of some requests; a key that is sent must be right all the same."""
        if hdrs.ORIGIN in request.headers:
            return self._origin_allowed(request, site)
        return APP_KEY not in request.headers or site is None or _has_key(request, site)

    def _origin_allowed(self, request: web.Request, site: Site | None) -> bool:
        allowed = self._origins if site is None else site.origins
        return request.headers.getall(hdrs.ORIGIN)[0].lower() in allowed

    def _guarded(self, handler: Handler) -> Handler:
        """Refuses unknown origins before anything is read, gives errors their shape, and lets allowed origins read."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            origin = request.headers.get(hdrs.ORIGIN)
            allowed = origin is not None and self._origin_allowed(request, None)
            try:
                if origin is not None and not allowed:
                    raise _bad_origin(request)
                response = await handler(request)
            except Refused as error:
                response = error.response()
            except SessionEnded as error:
                response = _unauthorized(str(error)).response()
            except StoreUnavailable:
                refused = Refused(503, "unavailable", "this cannot be done just now; try again")
                response = refused.retry_after(socket.RETRY_S).response()
            response.headers[hdrs.VARY] = hdrs.ORIGIN
            if origin is not None and allowed:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
                response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = hdrs.RETRY_AFTER
            return response

        return guarded


def _preflight(method: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=204,
            headers={
                hdrs.ACCESS_CONTROL_ALLOW_METHODS: method,
                hdrs.ACCESS_CONTROL_ALLOW_HEADERS: f"{hdrs.AUTHORIZATION}, {hdrs.CONTENT_TYPE}",
                hdrs.ACCESS_CONTROL_MAX_AGE: "600",
            },
        )

    return answer


def _has_key(request: web.Request, site: Site) -> bool:
    given = request.headers.get(APP_KEY, "").encode(errors="surrogateescape")
    return bool(site.app_key) and compare_digest(given, site.app_key.encode())


def _bad_origin(request: web.Request) -> Refused:
    if hdrs.ORIGIN in request.headers:
        return Refused(403, "bad_origin", "this web site may not open chats here")
    return Refused(403, "bad_origin", f"a program without Origin needs the app key in {APP_KEY}")


def _unauthorized(message: str, code: str = "session_expired", **details: Any) -> Refused:
    refused = Refused(401, code, message, **details)
    refused.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    return refused


async def _json_body(request: web.Request) -> dict[str, Any]:
    """The body's JSON object; no body is an empty one."""
    raw = bytearray()
    if (request.content_length or 0) > MAX_BODY:
        raise _too_large()
    async for chunk in request.content.iter_any():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise _too_large()
    if raw and hdrs.CONTENT_TYPE in request.headers and request.content_type != "application/json":
        raise Refused(415, "unsupported_media_type", "the body must be application/json")
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise Refused(400, "bad_request", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "bad_request", "the body must be a JSON object")
    return body


def _too_large() -> Refused:
    return Refused(413, "too_large", f"the body may hold {MAX_BODY} bytes")


def _session_request(body: dict[str, Any]) -> SessionRequest:
    try:
        return SessionRequest.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Refused(422, "unprocessable", f"{field}: {first['msg']}", field=field) from None


def _number(request: web.Request, name: str, default: int | None, most: int) -> int | None:
    raw = request.query.get(name)
    if raw is None:
        return default
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 10 and int(raw) >= 1):
        raise Refused(400, "bad_request", f"{name} must be a number from 1", field=name)
    return min(int(raw), most)
