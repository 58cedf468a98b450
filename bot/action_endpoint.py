"""How Rasa reaches the action server: one connection pool for all turns, a short deadline, and every call on record.

Rasa's own endpoint opens a session for each call, posts the whole domain with it, waits up to five minutes, and its
caller swallows every failure. Here a failed call ends the turn at once: the front door asks again with the same turn
id, and effects of actions are idempotent by that id.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import aiohttp
from rasa.utils.endpoints import ClientResponseError, EndpointConfig

from bot.turn import ActionCall, Turn, TurnAborted, current_turn

TIMEOUT_SECONDS = 3.0
MAX_REPLY_BYTES = 1_000_000

logger = logging.getLogger(__name__)


class ActionFailed(aiohttp.ClientConnectionError):
    """The action server could not be reached, was too slow, or answered what no action answers."""


class ActionEndpoint(EndpointConfig):  # type: ignore[misc]
    """Calls custom actions. `url` is the action server's webhook; `timeout` is in seconds."""

    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS, **kwargs: Any) -> None:
        super().__init__(url, **kwargs)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def like(
        cls, endpoint: EndpointConfig | None, url: str | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> ActionEndpoint | None:
        """Return an endpoint for the address that endpoints.yml (or `url`) gives; None without one."""
        address = url or (endpoint.url if endpoint else None)
        if not address:
            return None
        if endpoint is None:
            return cls(address, timeout)
        return cls(
            address,
            timeout,
            params=endpoint.params,
            headers=endpoint.headers,
            basic_auth=endpoint.basic_auth,
            token=endpoint.token,
            token_name=endpoint.token_name,
            cafile=endpoint.cafile,
        )

    def open_session(self) -> aiohttp.ClientSession:
        """Return the session of this process, opened on first use."""
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
            auth = aiohttp.BasicAuth(**self.basic_auth) if self.basic_auth else None
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, headers=self.headers, auth=auth
            )
        return self._session

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str = "post",
        subpath: str | None = None,
        content_type: str | None = "application/json",
        compress: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Run a custom action and return its reply.

        Raises `ClientResponseError` 400 when the action rejects to run, as Rasa expects; any failure ends the turn by
        `TurnAborted`, or outside a turn raises `ActionFailed`.
        """
        body: dict[str, Any] = kwargs.pop("json")
        body.pop("domain", None)
        name = str(body.get("next_action"))
        turn = current_turn.get()
        started = time.perf_counter()
        try:
            reply = await self._post(body)
        except ClientResponseError as rejection:
            self._record(
                turn, ActionCall(name, True, time.perf_counter() - started, _why(rejection), rejected=True)
            )
            raise
        except ActionFailed as failure:
            self._give_up(turn, ActionCall(name, False, time.perf_counter() - started, str(failure)), failure)
        self._record(turn, ActionCall(name, True, time.perf_counter() - started))
        return reply

    async def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            async with self.open_session().post(
                self.url, json=body, params=self.combine_parameters({})
            ) as response:
                content = await response.content.read(MAX_REPLY_BYTES + 1)
                while not response.content.at_eof() and len(content) <= MAX_REPLY_BYTES:
                    content += await response.content.read(MAX_REPLY_BYTES + 1 - len(content))
                status = response.status
        except TimeoutError as error:
            raise ActionFailed(f"no answer within {self._timeout.total:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ActionFailed(f"the action server cannot be reached ({type(error).__name__})") from error
        if status == 400 and _is_rejection(content):
            raise ClientResponseError(status, "rejected", content.decode())
        if status != 200:
            raise ActionFailed(f"the action server answered {status}")
        return _checked(content)

    def _record(self, turn: Turn | None, call: ActionCall) -> None:
        if turn is not None:
            turn.calls.append(call)

    def _give_up(self, turn: Turn | None, call: ActionCall, failure: ActionFailed) -> None:
        logger.warning("custom action %s failed: %s", call.name, call.error)
        if turn is None:
            raise failure
        turn.fail(call)
        raise TurnAborted(call.name) from failure


def _why(rejection: ClientResponseError) -> str:
    return str(json.loads(rejection.text).get("error") or "rejected")


def _is_rejection(content: bytes) -> bool:
    try:
        body = json.loads(content)
    except ValueError:
        return False
    return isinstance(body, dict) and isinstance(body.get("action_name"), str)


def _checked(content: bytes) -> dict[str, Any]:
    """Return a reply that Rasa can use. Raises `ActionFailed` otherwise; Rasa would swallow what is wrong with it."""
    if len(content) > MAX_REPLY_BYTES:
        raise ActionFailed(f"the action's reply is longer than {MAX_REPLY_BYTES} bytes")
    try:
        reply = json.loads(content)
    except ValueError as error:
        raise ActionFailed("the action's reply is not JSON") from error
    if not isinstance(reply, dict):
        raise ActionFailed("the action's reply is not an object")
    for key in ("events", "responses"):
        part = reply.setdefault(key, [])
        if not isinstance(part, list) or not all(isinstance(item, dict) for item in part):
            raise ActionFailed(f"the action's reply has {key} that are no list of objects")
    return reply
