"""The action server: rasa-sdk's protocol over HTTP, bound to one address, in one process."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import Any

from actions import clarify, order_form
from actions.account_actions import AccountActions
from actions.directory import AccountDirectory, DirectoryError
from actions.lookups import Patience
from actions.order_form import OrderForm
from actions.sql_directory import SqlDirectory

logger = logging.getLogger("foyer.actions")

MOST_BYTES = 4 * 1024 * 1024
SHUTDOWN_SECONDS = 5.0
SETTLED_SECONDS = 0.05


def executor(directory: AccountDirectory, patience: Patience | None = None) -> Any:
    """rasa-sdk's executor with all custom actions over `directory`."""
    from rasa_sdk.executor import ActionExecutor  # type: ignore[import-untyped]

    waits = patience or Patience()
    answers = AccountActions(directory, waits)
    form = OrderForm(directory, waits)

    class Executor(ActionExecutor):  # type: ignore[misc]
        def update_and_return_domain(self, payload: Any, action_name: str) -> Any:
            return payload.get("domain") or {}  # no action needs it, so the assistant need not send it

    actions = Executor()
    for name, action in {
        order_form.NAME: form.__call__,
        "action_order_status": answers.order_status,
        "action_delivery_date": answers.delivery_date,
        "action_bill": answers.bill,
        clarify.NAME: clarify.clarify,
    }.items():
        actions.register_function(name, action)
    return actions


def application(directory: AccountDirectory, patience: Patience | None = None) -> Any:
    """The web application: `POST /webhook`, `GET /health`, `GET /actions`."""
    from rasa_sdk.endpoint import create_app  # type: ignore[import-untyped]

    # The protocol of custom actions is the same in both; each call would warn.
    warnings.filterwarnings("ignore", message=".*rasa_sdk", category=UserWarning)

    app = create_app(executor(directory, patience), cors_origins=[])
    app.config.REQUEST_MAX_SIZE = MOST_BYTES
    app.config.ACCESS_LOG = False
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = SHUTDOWN_SECONDS
    app.config.KEEP_ALIVE_TIMEOUT = 120

    app.error_handler = _quiet_errors()
    return app


def _quiet_errors() -> Any:
    """Errors as JSON, logged by kind only: their text, and the request, may hold a customer's words."""
    from sanic import response
    from sanic.handlers import ErrorHandler

    class QuietErrors(ErrorHandler):
        def default(self, request: Any, exception: Exception) -> Any:
            status = getattr(exception, "status_code", 500)
            if status >= 500:
                logger.error("action failed: %s", type(exception).__name__)
            return response.json({"error": type(exception).__name__}, status=status)

    return QuietErrors()


def serve(host: str, port: int, url: str) -> None:
    """Serves until SIGINT or SIGTERM. An account system that is not there yet is tried again when it is needed."""
    directory = SqlDirectory(url)
    app = application(directory)

    async def prepare(*_: Any) -> None:
        try:
            await directory.prepare()
        except DirectoryError as error:
            logger.warning("the account system is not ready: %s", error)

    async def announce(*_: Any) -> None:
        # In the last moments of its start Sanic loses a SIGTERM; whoever waits for this line should not send one then.
        loop = asyncio.get_running_loop()
        loop.call_later(SETTLED_SECONDS, logger.info, "action server listens on http://%s:%d", host, port)

    async def close(*_: Any) -> None:
        await directory.close()

    app.before_server_start(prepare)
    app.after_server_start(announce)
    app.after_server_stop(close)
    app.run(host=host, port=port, single_process=True, access_log=False, motd=False)
