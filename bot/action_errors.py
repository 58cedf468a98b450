"""Notices what Rasa swallows: an exception while an action ran.

Rasa logs it and goes on without the action's events. The only trace is that log record; it is read here and ends up in
the turn, which then counts as failed.
"""

from __future__ import annotations

import logging

from bot.turn import ActionCall, current_turn

_SWALLOWED = "Encountered an exception while running action"


class _Watch(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        turn = current_turn.get()
        if turn is None or not str(record.msg).startswith(_SWALLOWED):
            return
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "error"
        turn.fail(ActionCall(_action_of(str(record.msg)), False, 0.0, error))


def _action_of(message: str) -> str:
    parts = message.split("'")
    return parts[1] if len(parts) > 1 else "unknown"


def watch_actions() -> None:
    """Begin to watch the processor's log; further calls do nothing."""
    log = logging.getLogger("rasa.core.processor")
    if not any(isinstance(handler, _Watch) for handler in log.handlers):
        log.addHandler(_Watch(logging.ERROR))
