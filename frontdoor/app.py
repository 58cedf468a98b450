"""Puts the front door together: one application over one store, with its workers."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog
from aiohttp import web

import connectors
from connectors import webchat
from conversations.bus import LocalBus
from conversations.delivery import DeliveryWorker
from conversations.intake import Intake
from conversations.lifecycle import Lifecycle
from conversations.ports import Assistant
from conversations.store import (
    Store,
    Transaction,
    conversations,
    current_revision,
    head_revision,
    open_store,
    turns,
)
from conversations.store.chores import prune_sessions
from conversations.store.timers import Timer
from conversations.timers import TimerWorker
from conversations.turns import TurnLimits, TurnWorker
from frontdoor import frontend, operators, static
from frontdoor.assistant import HttpAssistant
from frontdoor.edge import edge_middlewares
from frontdoor.metrics import Metrics
from frontdoor.settings import ROOT, Settings, SettingsError
from handoff import desk
from handoff.events import purge
from handoff.room import HandoffRoom

log = structlog.get_logger(__name__)

MAX_BODY = 256 * 1024


@dataclass(frozen=True, slots=True)
class Parts:
    """What an application is built from; a test may bring its own."""

    settings: Settings
    store: Store
    assistant: Assistant
    metrics: Metrics


async def make_app(settings: Settings) -> web.Application:
    """The application for `settings`, which have been prepared. Its database must have been migrated.

    Raises:
        SettingsError: the database is not at this version's schema.
    """
    await _check_schema(settings)
    store = await open_store(settings.database_url, LocalBus())
    timeout = aiohttp.ClientTimeout(total=settings.assistant_timeout, connect=2)
    session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=64))
    urls = settings.assistant_url or ("http://127.0.0.1:5005",)
    assistant = HttpAssistant(session, urls, settings.assistant_token.get_secret_value() or None)
    app = build(Parts(settings, store, assistant, Metrics()))

    async def close(_: web.Application) -> None:
        await session.close()
        await store.close()

    app.on_cleanup.append(close)
    return app


async def _check_schema(settings: Settings) -> None:
    found, needed = await current_revision(settings.database_url), head_revision()
    if found != needed:
        raise SettingsError(
            f"the database is at schema {found or 'none'}, this version needs {needed}: run ./foyer migrate"
        )


def build(parts: Parts) -> web.Application:
    """Wires rooms, workers and operators' addresses into one application."""
    settings, store, metrics = parts.settings, parts.store, parts.metrics
    app = web.Application(client_max_size=MAX_BODY, middlewares=edge_middlewares(settings, metrics))
    handoffs = HandoffRoom(observe=lambda reason: metrics.handoffs.labels(reason).inc())
    lifecycle = Lifecycle(handoffs)
    silence_ms = int(settings.silence_close_hours * 3_600_000)
    connectors.check_names()
    webchat.setup(
        app,
        _webchat_config(settings, store.dialect),
        store,
        Intake(silence_ms),
        lifecycle,
        accepted=lambda channel: metrics.messages_accepted.labels(channel).inc(),
        sockets=metrics.sockets.labels("chat"),
    )
    desk.setup(
        app, _desk_config(settings), store, lifecycle, handoffs, sockets=metrics.sockets.labels("desk")
    )
    operators.setup(app, settings, store, metrics)
    static.setup(app, static.Shelf(frontend.dist_folder()))
    app.cleanup_ctx.append(_workers(parts, lifecycle, silence_ms))
    return app


def _workers(
    parts: Parts, lifecycle: Lifecycle, silence_ms: int
) -> Callable[[web.Application], AsyncIterator[None]]:
    settings, store, metrics = parts.settings, parts.store, parts.metrics

    def turn_ended(outcome: str, seconds: float) -> None:
        metrics.turns.labels(outcome).inc()
        metrics.turn_seconds.observe(seconds)

    def silence(tx: Transaction, timer: Timer) -> None:
        lifecycle.end_by_silence(tx, timer.conversation_id, silence_ms)

    limits = TurnLimits(
        deadline_s=settings.assistant_timeout,
        lease_s=settings.turn_lease,
        patience_s=settings.assistant_patience,
        workers=settings.turn_workers,
    )
    workers: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "turns": TurnWorker(store, parts.assistant, lifecycle, limits, turn_ended).run,
        "delivery": DeliveryWorker(
            store, {}, observe=lambda outcome: metrics.deliveries.labels(outcome).inc()
        ).run,
        "timers": TimerWorker(store, {conversations.SILENCE: silence}, chores=(purge, prune_sessions)).run,
    }

    async def context(_: web.Application) -> AsyncIterator[None]:
        if store.dialect == "sqlite":
            # Nobody else uses this database, so every lease belongs to a process that is gone.
            await store.write(turns.release_all)
        tasks = [asyncio.create_task(_kept_running(name, run), name=name) for name, run in workers.items()]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return context


async def _kept_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A worker that broke is said so and started again; it must never end quietly."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("worker.broken", worker=name)
        else:
            return
        await asyncio.sleep(1)


def derived_key(settings: Settings, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose, so that what is signed for one can't be shown for another."""
    secret = settings.secret.get_secret_value().encode()
    return hashlib.blake2b(purpose.encode(), key=secret[:64], digest_size=32).digest()


def _webchat_config(settings: Settings, dialect: str) -> webchat.WebchatConfig:
    return webchat.WebchatConfig(
        # Only PostgreSQL may have other front doors, whose wake-ups this one does not hear.
        sweep_seconds=30.0 if dialect == "sqlite" else 1.0,
        key=derived_key(settings, "web chat session"),
        origins=settings.chat_origins,
        app_key=settings.chat_app_key.get_secret_value(),
        identity=_identity_rule(settings),
        session_seconds=int(settings.chat_session_hours * 3600),
    )


def _identity_rule(settings: Settings) -> webchat.IdentityRule | None:
    """How the site signs. Raises SettingsError when the key can't be read, or does not fit the algorithm."""
    if settings.chat_identity_algorithm is None:
        return None
    key, file = settings.chat_identity_key.get_secret_value(), settings.chat_identity_key_file
    try:
        key = key.replace("\\n", "\n") if file is None else (ROOT / file.expanduser()).read_text().strip()
        rule = webchat.IdentityRule(settings.chat_identity_algorithm, key, settings.chat_identity_audience)
        webchat.check_identity(rule)
    except OSError as error:
        raise SettingsError(f"FOYER_CHAT_IDENTITY_KEY_FILE: can't read {file}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"FOYER_CHAT_IDENTITY_KEY: {error}") from None
    return rule


def _desk_config(settings: Settings) -> desk.DeskConfig:
    return desk.DeskConfig(
        installation=derived_key(settings, "installation").hex()[:12],
        secure_cookie=not settings.local_only,
        session_seconds=int(settings.desk_session_hours * 3600),
        origins=_own_origins(settings),
    )


def _own_origins(settings: Settings) -> tuple[str, ...]:
    """Where the desk's own pages come from; sites that embed the chat are not among them."""
    public = urlsplit(settings.public_url)
    local = (f"http://127.0.0.1:{settings.port}", f"http://localhost:{settings.port}")
    own = (f"{public.scheme}://{public.netloc}", *(local if settings.local_only else ()))
    return tuple(dict.fromkeys(own))
