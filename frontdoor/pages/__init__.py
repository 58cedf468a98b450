"""Pages of a local installation: where to click, and a demo shop with the chat in its corner. Nobody else sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from frontdoor import static
from frontdoor.edge import error_response, is_local
from frontdoor.settings import Settings

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
"""Nothing from elsewhere, nothing inline, no markup made of strings; the chat needs no more than this."""
HEADERS = {
    **static.PAGE_HEADERS,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-cache",
}
FRESH = {"Cache-Control": "no-store"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Probe = Callable[[], Awaitable[Mapping[str, str]]]
"""The parts of the installation by name, each `ready`, `starting` or `down`."""


def setup(app: web.Application, settings: Settings, probe: Probe) -> None:
    """Adds the landing page, the demo shop, their files, and what the landing page asks."""
    shelf = static.Shelf(Path(__file__).parent)
    app.router.add_get("/", _local(_file(shelf, "landing.html")))
    app.router.add_get("/demo", _local(_to_the_shop))
    app.router.add_get("/demo/", _local(_file(shelf, "shop.html")))
    app.router.add_get(f"/pages/{{name:{static.NAME}}}", _local(_asset(shelf)))
    app.router.add_get("/status.json", _local(_status(settings, probe)))


def _local(handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if not is_local(request):
            return error_response(404, "not_found", "Not found")
        return await handler(request)

    return handle


def _file(shelf: static.Shelf, name: str) -> Handler:
    return static.page(shelf, name, HEADERS)


def _asset(shelf: static.Shelf) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        found = await shelf.find(name) if name.endswith((".css", ".js", ".svg")) else None
        if found is None:
            raise web.HTTPNotFound
        return static.answer(request, found, HEADERS)

    return handle


async def _to_the_shop(_: web.Request) -> web.StreamResponse:
    return web.Response(status=308, headers={"Location": "/demo/"})


def _status(settings: Settings, probe: Probe) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        parts = [{"name": name, "state": state} for name, state in (await probe()).items()]
        agent = await asyncio.to_thread(_demo_agent, settings.home / "demo-agent.json")
        return web.json_response({"parts": parts, "demo_agent": agent}, headers=FRESH)

    return handle


def _demo_agent(kept: Path) -> dict[str, Any] | None:
    """Who the demo agent is and where the password is kept; never the password."""
    try:
        return {"email": str(json.loads(kept.read_text())["email"]), "kept_in": str(kept)}
    except (OSError, ValueError, KeyError, TypeError):
        return None
