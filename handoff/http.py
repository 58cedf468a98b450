"""Reading requests and shaping refusals, the same for every address of the desk."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from conversations.errors import Conflict, FoyerError, IdReused, NotFound, StoreUnavailable
from conversations.messages import clean_text

from .room import NotYours, Unprocessable
from .schema import MAX_SEQ

MAX_BODY = 64 * 1024

B = TypeVar("B", bound=BaseModel)

_NUMBER = re.compile(r"[0-9]{1,15}")


class Refusal(Exception):
    """An answer that says no, in the protocol's shape."""

    def __init__(
        self, status: int, code: str, message: str, details: dict[str, Any] | None = None, **headers: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.headers = headers

    def response(self) -> web.Response:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = self.details
        return web.json_response({"error": error}, status=self.status, headers=self.headers)


def refusal_for(error: FoyerError) -> Refusal:
    """What an error of the rooms means over HTTP."""
    text = str(error)
    if isinstance(error, StoreUnavailable):
        return Refusal(
            503, "unavailable", "The database cannot take this now. Try again.", None, **{"Retry-After": "2"}
        )
    if isinstance(error, Conflict):
        return Refusal(409, error.code, text, dict(error.details) or None)
    if isinstance(error, IdReused):
        return Refusal(409, error.code, text)
    if isinstance(error, NotFound):
        return Refusal(404, error.code, text)
    if isinstance(error, NotYours):
        return Refusal(403, error.code, text)
    if isinstance(error, Unprocessable):
        return Refusal(422, error.code, text)
    return Refusal(500, "internal", "Something broke on our side.")


async def read_body(request: web.Request, model: type[B]) -> B:
    """The request's JSON object as `model`, every text in it cleaned of what no database or client can hold.

    Raises:
        Refusal: 400, 413, 415 or 422.
    """
    raw = await _raw(request)
    if raw and request.content_type != "application/json":
        raise Refusal(415, "unsupported_media_type", "Send JSON, with Content-Type: application/json.")
    try:
        return model.model_validate(_object(raw) if raw else {})
    except ValidationError as error:
        _refuse(error)


async def _raw(request: web.Request) -> bytes:
    if (request.content_length or 0) > MAX_BODY:
        raise _too_large()
    raw = b""
    async for chunk in request.content.iter_chunked(16 * 1024):
        raw += chunk
        if len(raw) > MAX_BODY:
            raise _too_large()
    return raw


def _too_large() -> Refusal:
    return Refusal(413, "too_large", f"A body has at most {MAX_BODY} bytes.", Connection="close")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "malformed", "The body is not JSON.") from error
    if not isinstance(found, dict):
        raise Refusal(400, "malformed", "The body is not a JSON object.")
    return {clean_text(key): _cleaned(value) for key, value in found.items()}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _cleaned(value: Any) -> Any:
    # No body of ours has texts any deeper; what lies there is looked at by nobody.
    return clean_text(value) if isinstance(value, str) else value


def _refuse(error: ValidationError) -> NoReturn:
    """Names the fields and what is wrong with them, never what was in them."""
    faults = [
        {"field": ".".join(str(part) for part in fault["loc"]), "problem": str(fault["msg"])}
        for fault in error.errors(include_input=False, include_context=False, include_url=False)
    ]
    too_long = any(fault["type"] == "string_too_long" for fault in error.errors(include_input=False))
    code = "too_long" if too_long else "invalid"
    raise Refusal(422, code, "Some fields can't be used.", {"fields": faults}) from None


def number(request: web.Request, name: str, default: int | None, highest: int = MAX_SEQ) -> int | None:
    """A whole number of the query. Raises Refusal 400 for anything else."""
    given = request.query.get(name)
    if given is None:
        return default
    if not _NUMBER.fullmatch(given) or int(given) > highest:
        raise Refusal(400, "malformed", f"{name} is a whole number from 0 to {highest}.")
    return int(given)
