"""Addresses for operators and a local installation: health, readiness, metrics, published schemas."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any

import aiohttp
from aiohttp import web

from conversations.errors import StoreUnavailable
from conversations.store import Store, views
from frontdoor import openapi, pages, schemas
from frontdoor.edge import error_response, is_local
from frontdoor.metrics import CONTENT_TYPE, Metrics
from frontdoor.settings import Settings
from frontdoor.up import read_run_file

ASSISTANT_CHECK_S = 2


def setup(app: web.Application, settings: Settings, store: Store, metrics: Metrics) -> None:
    """Adds the operators' routes."""
    answers = Operators(settings, store, metrics)
    app.router.add_get("/healthz", answers.healthz)
    app.router.add_get("/readyz", answers.readyz)
    app.router.add_get("/metrics", answers.render_metrics)
    app.router.add_get("/openapi.json", answers.openapi)
    app.router.add_get("/schemas.json", answers.schemas)
    pages.setup(app, settings, answers.parts)


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
        # What is no UTF-8 in a header arrives as lone surrogates.
        given = (
            request.headers.get("Authorization", "").removeprefix("Bearer ").encode(errors="surrogateescape")
        )
        allowed = hmac.compare_digest(given, token.encode()) if token else is_local(request)
        if not allowed:
            return error_response(401, "unauthorized", "Metrics need the token, or a request from loopback.")
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(self, _: web.Request) -> web.Response:
        """The description of the HTTP interfaces."""
        return web.json_response(openapi.describe())

    async def schemas(self, _: web.Request) -> web.Response:
        """JSON Schemas of every body, frame and event."""
        return web.json_response(schemas.published())

    async def parts(self) -> dict[str, str]:
        """The parts of this installation by name: `ready`, `starting` or `down`."""
        store, assistant = await asyncio.gather(self._store_answers(), self._assistant_answers())
        found = {"Front door": "ready", "Database": "ready" if store else "down"}
        run = await asyncio.to_thread(read_run_file, self._settings.home) or {}
        children = run.get("children", {})
        if "actions" in children:
            found["Account actions"] = "ready" if children["actions"].get("ready") else "starting"
        if assistant != "not configured":
            waiting = "starting" if assistant == "not ready" or "assistant" in children else "down"
            found["Assistant"] = "ready" if assistant == "ready" else waiting
        return found

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
