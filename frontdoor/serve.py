"""`./foyer serve`: the front door as a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from frontdoor.locks import HeldError, held
from frontdoor.logs import configure_logs
from frontdoor.settings import Settings, SettingsError

NO_DATABASE = "can't use the database of conversations (FOYER_DATABASE_URL; ./foyer doctor looks at it)"


def serve(settings: Settings, say: Callable[[str], None]) -> int:
    """Serves until SIGTERM or Ctrl-C; gives the exit code. ``settings`` have been prepared."""
    configure_logs(settings.log_level, settings.log_format)
    try:
        with _alone(settings):
            return _run(settings, say)
    except HeldError as error:
        say(
            f"a front door (process {error.note.get('pid')}) already serves {settings.home}, on port {error.note.get('port')}"
        )
        say("an SQLite database has one: stop that one, or use PostgreSQL (FOYER_DATABASE_URL)")
        return 1


def _run(settings: Settings, say: Callable[[str], None]) -> int:
    from aiohttp import web

    from conversations.errors import StoreUnavailable
    from frontdoor.app import make_app

    try:
        web.run_app(
            make_app(settings),
            host=settings.host,
            port=settings.port,
            print=None,
            access_log=None,
            shutdown_timeout=5,
        )
    except SettingsError as error:
        say(str(error))
        return 2
    except StoreUnavailable as error:
        say(f"{NO_DATABASE}: {error}")
        return 2
    except OSError as error:
        say(f"can't listen on {settings.host}:{settings.port}: {error.strerror}")
        return 2
    return 0


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    if not settings.uses_sqlite:
        yield
        return
    with held(settings.home / "serve.lock", port=settings.port):
        yield
