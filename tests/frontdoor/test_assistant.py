"""The client of the turn protocol, against assistants that keep it and that do not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from conversations.errors import AssistantError, AssistantRefused, LookupUnavailable
from conversations.ports import TurnRequest
from frontdoor.assistant import PATH, HttpAssistant

REQUEST = TurnRequest("t1", "c1", "hi", None, {"channel": "webchat"}, None)
GOOD: Mapping[str, Any] = {"turn": "t1", "replies": [{"kind": "text", "text": "hello"}], "state": {"n": 1}}


@asynccontextmanager
async def assistant(answer: object, status: int = 200) -> AsyncIterator[HttpAssistant]:
    async def turn(_: web.Request) -> web.Response:
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_post(PATH, turn)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield HttpAssistant(session, (str(server.make_url("")),))


async def test_an_answer_in_the_protocols_shape_is_taken() -> None:
    async with assistant(GOOD) as asked:
        result = await asked.turn(REQUEST)
    assert ([r.text for r in result.replies], result.state) == (["hello"], {"n": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"turn": "t2"},
        {"replies": ["hello"]},
        {"replies": {"kind": "text"}},
        {"replies": [{"kind": "text"}]},
        {"replies": [{"kind": "text", "text": "x", "choices": ["a"]}]},
        {"state": "sleepy"},
        {"lookups": [5]},
        {"effects": {"kind": "set_verification"}},
        {"understanding": [1]},
        {"handoff": "please"},
        {"handoff": {"queue": "general"}},
    ],
    ids=str,
)
async def test_an_answer_in_another_shape_is_an_error_that_may_be_asked_again(
    wrong: Mapping[str, Any],
) -> None:
    async with assistant({**GOOD, **wrong}) as asked:
        with pytest.raises(AssistantError) as refused:
            await asked.turn(REQUEST)
    assert not isinstance(refused.value, AssistantRefused)


@pytest.mark.parametrize("part", ["turn", "replies", "state"])
async def test_an_answer_without_a_part_is_an_error(part: str) -> None:
    async with assistant({name: value for name, value in GOOD.items() if name != part}) as asked:
        with pytest.raises(AssistantError):
            await asked.turn(REQUEST)


@pytest.mark.parametrize("details", [{"action": "a", "lookups": [{"action": "a"}]}, None])
async def test_a_failed_action_brings_its_lookups(details: object) -> None:
    error = {"error": {"code": "action_failed", "message": "failed", "details": details}}
    async with assistant(error, 503) as asked:
        with pytest.raises(LookupUnavailable) as failed:
            await asked.turn(REQUEST)
    assert len(failed.value.lookups) == bool(details)


@pytest.mark.parametrize(
    "error", [{"error": "busy"}, {"error": {"code": "action_failed", "details": ["a"]}}, []]
)
async def test_a_refusal_in_another_shape_is_still_an_error_of_the_assistant(error: object) -> None:
    async with assistant(error, 503) as asked:
        with pytest.raises(AssistantError):
            await asked.turn(REQUEST)
