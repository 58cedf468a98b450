"""Rasa's one door to the front door: `POST /webhooks/foyer/turn`, the assistant as a function.

A request brings the message and the dialogue state; the answer takes the replies, what was understood, what is asked
of the front door, and the new state with it. Nothing is kept between turns, so a turn may be asked again and any
process may serve it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Any

from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.core.processor import MessageProcessor
from rasa.shared.core.constants import REQUESTED_SLOT, SESSION_START_METADATA_SLOT
from rasa.shared.core.events import UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from sanic import Blueprint, Sanic
from sanic.request import Request
from sanic.response import HTTPResponse, raw

from bot.action_endpoint import TIMEOUT_SECONDS, ActionEndpoint
from bot.action_errors import watch_actions
from bot.loaded import LoadedModel
from bot.replies import Replies
from bot.request import MAX_BODY_BYTES, BadRequest, TurnRequest, as_words, intent_of, read_request
from bot.state import Read, StateError, Written
from bot.turn import Turn, TurnAborted, current_turn

MAX_INTENTS = 10
_ENTITY_KEYS = ("entity", "value", "start", "end", "role", "group", "confidence_entity", "extractor")

logger = logging.getLogger(__name__)


class Refused(Exception):
    """Ends a request with an error body."""

    def __init__(self, status: int, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        error: dict[str, Any] = {"code": code, "message": message}
        if details:
            error["details"] = details
        self.body = {"error": error}


class FoyerChannel(InputChannel):  # type: ignore[misc]
    """The input channel for `credentials.yml`."""

    def __init__(self, token: str | None = None) -> None:
        self._token = token
        self._loaded: LoadedModel | None = None

    @classmethod
    def name(cls) -> str:
        """Return the last but one part of the webhook's address."""
        return "foyer"

    @classmethod
    def from_credentials(cls, credentials: dict[str, Any] | None) -> FoyerChannel:
        """Make the channel; the secret comes from the environment, not from a file."""
        return cls(os.environ.get("FOYER_ASSISTANT_TOKEN") or None)

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Return the routes. Rasa's own handler is not used: it takes a lock for each conversation, in vain here."""
        # Sanic marks handlers with attributes, which methods cannot bear: so, functions.
        routes = Blueprint("foyer")

        @routes.post("/turn")  # type: ignore[untyped-decorator]
        async def turn(request: Request) -> HTTPResponse:
            return await self._serve_turn(request)

        @routes.get("/health")  # type: ignore[untyped-decorator]
        async def health(request: Request) -> HTTPResponse:
            return self._serve_health(request)

        @routes.listener("after_server_start")  # type: ignore[untyped-decorator]
        async def start(app: Sanic, _loop: Any) -> None:
            await self._start(app)

        @routes.listener("before_server_stop")  # type: ignore[untyped-decorator]
        async def stop(_app: Sanic, _loop: Any) -> None:
            await self._stop()

        return routes

    # --- life ---------------------------------------------------------------------------------------------------------

    async def _start(self, app: Sanic) -> None:
        watch_actions()
        loaded = self._model(app)
        if loaded is not None:
            await loaded.warm_up()

    async def _stop(self) -> None:
        if self._loaded is not None:
            await self._loaded.close()

    def _model(self, app: Sanic) -> LoadedModel | None:
        """Return the model that is loaded now; Rasa may swap it while it runs."""
        agent = getattr(app.ctx, "agent", None)
        if agent is None or agent.processor is None:
            return None
        processor: MessageProcessor = agent.processor
        if self._loaded is None or self._loaded.processor is not processor:
            timeout = float(os.environ.get("FOYER_ACTION_TIMEOUT", TIMEOUT_SECONDS))
            url = os.environ.get("FOYER_ACTIONS_URL")
            endpoint = ActionEndpoint.like(agent.action_endpoint, url, timeout)
            self._loaded = LoadedModel(processor, endpoint)
        return self._loaded

    # --- routes -------------------------------------------------------------------------------------------------------

    def _serve_health(self, request: Request) -> HTTPResponse:
        loaded = self._model(request.app)
        if loaded is None:
            return _json_response({"ready": False, "model": None}, 503)
        return _json_response({"ready": True, "model": loaded.name, "domain": loaded.codec.fingerprint})

    async def _serve_turn(self, request: Request) -> HTTPResponse:
        try:
            self._authenticate(request)
            asked = read_request(_body(request))
            return _json_response(await run_turn(self._ready(request.app), asked))
        except BadRequest as error:
            return _json_response(Refused(400, "bad_request", str(error)).body, 400)
        except Refused as refused:
            headers = {"Retry-After": "1"} if refused.status == 503 else None
            return _json_response(refused.body, refused.status, headers)

    def _ready(self, app: Sanic) -> LoadedModel:
        loaded = self._model(app)
        if loaded is None:
            raise Refused(503, "not_ready", "no model is loaded")
        return loaded

    def _authenticate(self, request: Request) -> None:
        if self._token is None:
            return
        given = request.headers.get("authorization", "")
        if not compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise Refused(401, "unauthorized", "the token is missing or wrong")


def _body(request: Request) -> bytes:
    body: bytes = request.body
    if len(body) > MAX_BODY_BYTES:
        raise Refused(413, "too_large", f"a turn has at most {MAX_BODY_BYTES} bytes")
    return body


async def run_turn(loaded: LoadedModel, asked: TurnRequest) -> dict[str, Any]:
    """Run one turn and return its answer. Raises `Refused` 503 when it did not come to its end."""
    read, reset = _read_state(loaded, asked)
    before = len(read.tracker.events) if read else 0
    turn = Turn(asked.turn, asked.conversation, tracker=read.tracker if read else None)
    replies = Replies()
    await _handle(loaded, asked, turn, replies)
    try:
        written = loaded.codec.write(turn.tracker)
    except StateError as error:
        raise Refused(
            503, "turn_failed", "the dialogue state cannot be written", {"reason": str(error)}
        ) from error
    return {
        "turn": asked.turn,
        "model": loaded.name,
        "replies": replies.contents,
        "understanding": _understanding(turn.tracker, before, asked.shift),
        "slots": _slots(turn.tracker),
        "form": _form(loaded, turn.tracker),
        "actions": [call.as_dict() for call in turn.calls],
        "lookups": replies.lookups,
        "effects": replies.effects,
        "handoff": replies.handoff,
        "state": written.state,
        **_about_state(written, read, reset),
    }


async def _handle(loaded: LoadedModel, asked: TurnRequest, turn: Turn, replies: Replies) -> None:
    message = UserMessage(
        _text(loaded, asked),
        replies,
        asked.conversation,
        input_channel="foyer",
        message_id=asked.turn,
        metadata=asked.metadata,
    )
    token = current_turn.set(turn)
    try:
        await loaded.processor.handle_message(message)
    except TurnAborted:
        pass
    except Exception as error:
        logger.exception("turn %s failed", asked.turn)
        raise Refused(503, "turn_failed", "the assistant failed", {"reason": type(error).__name__}) from error
    finally:
        current_turn.reset(token)
    details = {"lookups": replies.lookups, "effects": replies.effects}
    if turn.failure is not None:
        calls = {"action": turn.failure, "actions": [call.as_dict() for call in turn.calls]}
        raise Refused(503, "action_failed", f"the action {turn.failure} failed", {**calls, **details})
    if turn.limit_reached or not turn.saved:
        reason = "too_many_actions" if turn.limit_reached else "not_saved"
        raise Refused(503, "turn_failed", "the assistant came to no end", {"reason": reason, **details})


def _text(loaded: LoadedModel, asked: TurnRequest) -> str:
    """Return what Rasa is told; a choice that a retrained model no longer knows becomes words."""
    if asked.is_choice and intent_of(asked.text) not in loaded.intents:
        return as_words(intent_of(asked.text).replace("_", " "))[0]
    return asked.text


def _read_state(loaded: LoadedModel, asked: TurnRequest) -> tuple[Read | None, str | None]:
    """Return the tracker of the state, or None and why a conversation starts afresh."""
    if asked.state is None:
        return None, None
    try:
        return loaded.codec.read(asked.state, asked.conversation), None
    except StateError as error:
        logger.warning("turn %s: %s; the dialogue starts afresh", asked.turn, error)
        return None, str(error)


def _about_state(written: Written, read: Read | None, reset: str | None) -> dict[str, Any]:
    about: dict[str, Any] = {"state_bytes": len(_dumps(written.state)), "state_kind": written.kind}
    if not written.exact:
        about["state_inexact"] = True
    if reset is not None:
        about["state_reset"] = reset
    if read is not None and (read.dropped_slots or read.dropped_loops):
        about["state_dropped"] = {"slots": sorted(read.dropped_slots), "forms": sorted(read.dropped_loops)}
    return about


def _understanding(tracker: DialogueStateTracker, before: int, shift: int) -> dict[str, Any]:
    events = list(tracker.events)[before:]
    said = next((event for event in events if isinstance(event, UserUttered)), None)
    if said is None:
        return {"intents": [], "entities": []}
    ranking = said.parse_data.get("intent_ranking") or [said.intent]
    intents = [{"name": i.get("name"), "confidence": i.get("confidence")} for i in ranking if i.get("name")]
    return {
        "intents": intents[:MAX_INTENTS],
        "entities": [_entity(entity, shift) for entity in said.entities],
    }


def _entity(entity: dict[str, Any], shift: int) -> dict[str, Any]:
    """Return an entity with its place in the text as the customer typed it."""
    out = {key: entity[key] for key in _ENTITY_KEYS if entity.get(key) is not None}
    for edge in ("start", "end"):
        if edge in out:
            out[edge] += shift
    return out


def _slots(tracker: DialogueStateTracker) -> dict[str, Any]:
    hidden = {REQUESTED_SLOT, SESSION_START_METADATA_SLOT}
    return {
        name: slot.value
        for name, slot in tracker.slots.items()
        if name not in hidden and slot.value is not None and slot.value != slot.initial_value
    }


def _form(loaded: LoadedModel, tracker: DialogueStateTracker) -> dict[str, Any] | None:
    name = tracker.active_loop_name
    if name not in loaded.forms:
        return None
    return {"name": name, "requested_slot": tracker.get_slot(REQUESTED_SLOT)}


def _dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> Any:
    """Return numbers of numpy, as classifiers give them, as JSON knows them."""
    return value.item() if hasattr(value, "item") else str(value)


def _json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> HTTPResponse:
    return raw(_dumps(body), status, headers, content_type="application/json")
