"""Structured logs that never hold a secret or a customer's words.

Code logs ids, not bodies. The filter here is the second line: it masks what looks like a secret in any
event, nested values and tracebacks included, also for libraries that log through the standard module.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import IO, Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "[masked]"

_SECRET_NAMES = re.compile(
    r"(token|secret|password|passwd|authorization|cookie|api_?key|app_?key|signature|session|credential)",
    re.IGNORECASE,
)
# Message text has no business in a log, under whatever key it may come.
_BODY_NAMES = frozenset({"text", "body", "content", "caption", "comment", "payload", "query_string"})

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,}"), rf"\1 {MASK}"),
    (re.compile(r"(?i)\b((?:set-)?cookie\s*[:=]\s*)[^\r\n'\"]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(['\"]?\w*(?:authorization|token|secret|password|api_?key|app_?key|signature|session)['\"]?\s*[:=]\s*)"
                r"(['\"]?)[^\s'\",;&)}]+\2"), rf"\1{MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){1,4}"), MASK),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:]*:[^\s/@]*@"), rf"\1{MASK}@"),
    (re.compile(r"((?:\b[a-z][a-z0-9+.-]*://|/)[^\s?'\"]*\?)[^\s'\"<>]+"), rf"\1{MASK}"),
    (re.compile(r"\b\d{6,12}:[A-Za-z0-9_-]{30,}"), MASK),
)  # fmt: skip


def redact_text(text: str) -> str:
    """``text`` with tokens, cookies, passwords in addresses and query strings masked."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any, name: str = "") -> Any:
    """``value`` with secrets masked, through mappings and sequences; ``name`` is the key it stands under."""
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, bytes) or name in _BODY_NAMES or _SECRET_NAMES.search(name):
        return MASK
    if isinstance(value, Mapping):
        return {key: redact(part, str(key)) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(part) for part in value]
    return redact_text(str(value))


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    kept = {key: event.pop(key) for key in ("_record", "_from_structlog", "exc_info") if key in event}
    return {**{key: redact(value, key) for key, value in event.items()}, **kept}


def configure_logs(
    level: str = "info", form: Literal["auto", "console", "json"] = "auto", stream: IO[str] | None = None
) -> None:
    """Sends structlog's and the standard module's logs to ``stream`` (default: standard error), masked."""
    stream = stream or sys.stderr
    console = form == "console" or (form == "auto" and stream.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # The traceback becomes text before the filter sees the event, so it is filtered as well.
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # One line a request, with its query string, or a migration tool's greeting is not what an operator reads.
    for chatty in ("aiohttp.access", "alembic"):
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
