"""Asks Rasa over HTTP, by the turn protocol; several processes may sit behind it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from conversations.errors import AssistantError, AssistantRefused, LookupUnavailable
from conversations.messages import content_from_json
from conversations.ports import HandoffRequest, TurnRequest, TurnResult

PATH = "/webhooks/foyer/turn"
MAX_REPLIES = 20


@dataclass(slots=True)
class HttpAssistant:
    """One assistant behind one or more addresses, taken in turn; the next is asked when one cannot be reached."""

    session: aiohttp.ClientSession
    urls: Sequence[str]
    token: str | None = None
    _turns: itertools.count[int] = field(default_factory=itertools.count)

    async def turn(self, request: TurnRequest) -> TurnResult:
        """Implements `conversations.ports.Assistant`."""
        first = next(self._turns)
        problem: Exception | None = None
        for i in range(len(self.urls)):
            url = self.urls[(first + i) % len(self.urls)]
            try:
                return await self._ask(url.rstrip("/") + PATH, request)
            except aiohttp.ClientConnectorError as error:
                problem = error
            except aiohttp.ClientError as error:
                raise AssistantError(type(error).__name__) from error
        raise AssistantError("the assistant cannot be reached") from problem

    async def _ask(self, url: str, request: TurnRequest) -> TurnResult:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.session.post(url, json=request.as_json(), headers=headers) as response:
            body = await _json(response)
            if response.status == 200:
                return _result(body, request.turn)
            raise _refusal(response.status, body)


async def _json(response: aiohttp.ClientResponse) -> Mapping[str, Any]:
    try:
        body = await response.json(content_type=None)
    except ValueError as error:
        raise AssistantError("the assistant's answer is not JSON") from error
    if not isinstance(body, dict):
        raise AssistantError("the assistant's answer is not an object")
    return body


def _refusal(status: int, body: Mapping[str, Any]) -> AssistantError:
    problem = body.get("error")
    error = problem if isinstance(problem, dict) else {}
    found = error.get("details")
    details = found if isinstance(found, dict) else {}
    if error.get("code") == "action_failed":
        return LookupUnavailable(
            f"action {details.get('action')} failed",
            _objects(details, "lookups"),
            _objects(details, "effects"),
        )
    if status in (400, 401, 403, 404, 413, 422):
        return AssistantRefused(f"the assistant refused the turn: {status} {error.get('code', '')}".strip())
    return AssistantError(f"the assistant answered {status}")


def _result(body: Mapping[str, Any], turn: str) -> TurnResult:
    if body.get("turn") != turn:
        raise AssistantError("the assistant answered another turn")
    if "replies" not in body or "state" not in body:
        raise AssistantError("replies or state are missing from the assistant's answer")
    try:
        handoff = _object(body, "handoff")
        return TurnResult(
            replies=tuple(content_from_json(c) for c in _objects(body, "replies")[:MAX_REPLIES]),
            state=_object(body, "state"),
            model=body.get("model"),
            understanding=_object(body, "understanding") or {},
            slots=_object(body, "slots") or {},
            form=_object(body, "form"),
            actions=_objects(body, "actions"),
            lookups=_objects(body, "lookups"),
            effects=_objects(body, "effects"),
            handoff=HandoffRequest(handoff["reason"], handoff.get("queue"), handoff.get("note"))
            if handoff
            else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AssistantError("the assistant's answer does not keep the turn protocol") from error


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    found = body.get(name)
    if found is not None and not isinstance(found, dict):
        raise AssistantError(f"{name} in the assistant's answer is not an object")
    return found


def _objects(body: Mapping[str, Any], name: str) -> tuple[dict[str, Any], ...]:
    found = body.get(name) or ()
    if not isinstance(found, list | tuple) or not all(isinstance(one, dict) for one in found):
        raise AssistantError(f"{name} in the assistant's answer is not a list of objects")
    return tuple(found)
