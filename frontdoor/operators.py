"""Addresses for operators and a local installation: health, readiness, metrics, published schemas, landing page."""

from __future__ import annotations

import hmac
from typing import Any

import aiohttp
from aiohttp import web

from conversations.errors import StoreUnavailable
from conversations.store import Store, views
from frontdoor import schemas
from frontdoor.edge import error_response, is_local
from frontdoor.metrics import CONTENT_TYPE, Metrics
from frontdoor.settings import Settings
from handoff import openapi

ASSISTANT_CHECK_S = 2


def setup(app: web.Application, settings: Settings, store: Store, metrics: Metrics) -> None:
    """Adds the operators' routes."""
    pages = Operators(settings, store, metrics)
    app.router.add_get("/", pages.landing)
    app.router.add_get("/healthz", pages.healthz)
    app.router.add_get("/readyz", pages.readyz)
    app.router.add_get("/metrics", pages.render_metrics)
    app.router.add_get("/openapi.json", pages.openapi)
    app.router.add_get("/schemas.json", pages.schemas)


class Operators:
    """Handlers over one installation."""

    def __init__(self, settings: Settings, store: Store, metrics: Metrics) -> None:
        self._settings = settings
        self._store = store
        self._metrics = metrics

    async def healthz(self, _: web.Request) -> web.Response:
        """The process lives."""
        return web.json_response({"alive": True})

    async def readyz(self, _: web.Request) -> web.Response:
        """200 when messages can be taken, with or without an assistant: without one, people are called in."""
        missing = {} if await self._store_answers() else {"store": "does not answer"}
        body: dict[str, Any] = {"ready": not missing, "assistant": await self._assistant_answers()}
        if missing:
            body["missing"] = missing
        return web.json_response(body, status=503 if missing else 200)

    async def render_metrics(self, request: web.Request) -> web.Response:
        """For Prometheus: with the token, or from loopback when none is set."""
        token = self._settings.metrics_token.get_secret_value()
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        allowed = hmac.compare_digest(given.encode(), token.encode()) if token else is_local(request)
        if not allowed:
            return error_response(401, "unauthorized", "Metrics need the token, or a request from loopback.")
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(self, _: web.Request) -> web.Response:
        """The description of the HTTP interfaces."""
        return web.json_response(openapi.describe())

    async def schemas(self, _: web.Request) -> web.Response:
        """JSON Schemas of every body, frame and event."""
        return web.json_response(schemas.published())

    async def landing(self, request: web.Request) -> web.Response:
        """What a local installation offers; nobody else sees it."""
        if not is_local(request):
            return error_response(404, "not_found", "Not found")
        return web.Response(text=LANDING, content_type="text/html")

    async def _store_answers(self) -> bool:
        try:
            await self._store.read(views.last_event)
        except StoreUnavailable:
            return False
        return True

    async def _assistant_answers(self) -> str:
        if not self._settings.assistant_url:
            return "not configured"
        timeout = aiohttp.ClientTimeout(total=ASSISTANT_CHECK_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self._settings.assistant_url[0]}/webhooks/foyer/health") as response,
            ):
                return "ready" if response.status == 200 else "not ready"
        except (aiohttp.ClientError, TimeoutError):
            return "unreachable"


LANDING = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Foyer</title>
<style>
  :root { color-scheme: light dark; font: 1.05rem/1.6 system-ui, sans-serif }
  body { max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem }
  code { background: color-mix(in srgb, currentColor 10%, transparent); padding: .15em .4em; border-radius: .3em }
</style>
<main>
  <h1>Foyer is running</h1>
  <p>Talk to the assistant in a terminal: <code>./foyer chat</code>.
     A few customers to play with: <code>./foyer accounts sample</code>.</p>
  <ul>
    <li><a href="/readyz">Readiness</a> and <a href="/metrics">metrics</a></li>
    <li><a href="/openapi.json">OpenAPI description</a> and <a href="/schemas.json">JSON Schemas</a></li>
  </ul>
</main>
</html>
"""
