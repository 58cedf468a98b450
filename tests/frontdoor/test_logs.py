from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from frontdoor.logs import MASK, configure_logs, redact, redact_text

SECRET = "s3cr3t-Value_1234567890"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    yield stream
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization: {SECRET}",
        f"Cookie: foyer={SECRET}; other=1",
        f"set-cookie: foyer={SECRET}",
        f"GET /media/1?signature={SECRET}&x=1 HTTP/1.1",
        f"ws://127.0.0.1/chat/ws?token={SECRET}",
        f"token='{SECRET}'",
        f'{{"password": "{SECRET}"}}',
        f"postgresql://me:{SECRET}@host/db",
        f"X_API_KEY={SECRET}",
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
    ],
)
def test_secrets_in_text_are_masked(text: str) -> None:
    masked = redact_text(text)
    assert SECRET not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "text", ["turn 12 took 0.4 s", "customer asked: why?", "path /chat/ws", "tokens are fine"]
)
def test_plain_text_stays(text: str) -> None:
    assert redact_text(text) == text


def test_values_are_masked_by_their_name_at_any_depth() -> None:
    seen = redact(
        {"a": [{"api_key": SECRET, "n": 1}], "headers": {"Cookie": SECRET}, "text": "my words", "ok": True}
    )
    assert seen == {"a": [{"api_key": MASK, "n": 1}], "headers": {"Cookie": MASK}, "text": MASK, "ok": True}


def test_events_are_json_lines_with_level_and_time(stream: io.StringIO) -> None:
    structlog.get_logger("x").info("turn ended", turn="t1", seconds=0.2)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["turn"], line["seconds"], line["level"]) == ("turn ended", "t1", 0.2, "info")
    assert line["timestamp"].endswith("Z")


def test_tracebacks_are_masked_from_both_kinds_of_loggers(stream: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError(f"cannot fetch https://me:{SECRET}@host/x?token={SECRET}")

    for logger in (structlog.get_logger("x"), logging.getLogger("library")):
        try:
            fail()
        except ValueError:
            logger.exception("failed with Bearer %s", SECRET)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 2
    assert all("ValueError" in line["exception"] for line in lines)
    assert SECRET not in stream.getvalue()


def test_lines_below_the_level_and_access_lines_are_left_out(stream: io.StringIO) -> None:
    structlog.get_logger("x").debug("quiet")
    logging.getLogger("aiohttp.access").info("GET / 200")
    assert stream.getvalue() == ""
