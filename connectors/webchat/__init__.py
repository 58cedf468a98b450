"""Web chat, also for mobile apps: sessions, a socket for each tab, history. `setup` puts it into an application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from aiohttp import web

from conversations.intake import Intake
from conversations.lifecycle import Lifecycle
from conversations.store import Store

from .config import Site, WebchatConfig
from .frames import schemas
from .http import WebchatHttp
from .hub import Hub
from .identity import IdentityRule, check_identity
from .limits import Clock, Limiter
from .socket import Resources
from .tokens import Tokens

__all__ = ["HUB", "Hub", "IdentityRule", "Site", "WebchatConfig", "check_identity", "schemas", "setup"]

HUB = web.AppKey("webchat_hub", Hub)
"""The sockets of an application."""


class Gauge(Protocol):
    """Shows how many there are."""

    def set(self, value: float) -> None: ...


class _NoGauge:
    def set(self, value: float) -> None:
        pass


def _ignore(channel: str) -> None:
    pass


def setup(
    app: web.Application,
    config: WebchatConfig,
    store: Store,
    intake: Intake,
    lifecycle: Lifecycle,
    *,
    accepted: Callable[[str], None] = _ignore,
    sockets: Gauge | None = None,
    clock: Clock = time.monotonic,
) -> None:
    """Adds the channel's addresses to `app`, and its shared tasks, which end with it.

    `accepted(channel)` hears of every message committed, `sockets` shows how many are connected. `clock` counts the
    seconds of rate limits; sessions live by the database's clock.
    """
    hub = Hub(store, config.sweep_seconds, config.sockets_per_thread, (sockets or _NoGauge()).set)
    resources = Resources(
        config=config,
        store=store,
        intake=intake,
        lifecycle=lifecycle,
        tokens=Tokens(config.key),
        hub=hub,
        frames=Limiter(config.frames_per_second, config.frame_burst, clock),
        patience=Limiter(1, config.flood, clock),
        clock=clock,
        accepted=accepted,
    )
    opening = Limiter(config.sessions_per_minute / 60, config.session_burst, clock)
    app[HUB] = hub
    app.add_routes(WebchatHttp(resources, opening).routes())
    app.cleanup_ctx.append(_running(hub))
    app.on_shutdown.append(_going_away(hub, 2 * config.close_seconds))


def _running(hub: Hub) -> Callable[[web.Application], AsyncIterator[None]]:
    async def context(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(hub.run(), name="webchat")
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return context


def _going_away(hub: Hub, patience: float) -> Callable[[web.Application], Awaitable[None]]:
    async def close(_: web.Application) -> None:
        await hub.close(patience)

    return close
