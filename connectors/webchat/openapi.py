"""Web chat's HTTP addresses described for programs: OpenAPI 3.1 from the models that the code itself uses."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .frames import ErrorBody, MessagesPage, SessionEndedBody, SessionOpened, SessionRequest

PREFIX = "Chat"
REF = "#/components/schemas/" + PREFIX + "{model}"
MODELS: tuple[type[BaseModel], ...] = (
    SessionRequest,
    SessionOpened,
    SessionEndedBody,
    MessagesPage,
    ErrorBody,
)
SESSION: list[dict[str, list[str]]] = [{"chatSession": []}]
REFUSALS = {
    400: "malformed",
    401: "no session",
    403: "an origin or app key that may not come in",
    413: "too large",
    415: "not JSON",
    422: "well-formed but wrong",
    429: "too many",
    501: "not yet",
    503: "try again later",
}


def describe() -> dict[str, Any]:
    """Paths and components; schema names begin with `Chat`."""
    return {
        "paths": {
            "/chat/session": {"post": _open()},
            "/chat/session/end": {"post": _end()},
            "/chat/messages": {"get": _history()},
            "/chat/upload": {"post": _upload()},
            "/chat/ws": {"get": _socket()},
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"chatSession": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> dict[str, Any]:
    _, found = models_json_schema([(model, "validation") for model in MODELS], ref_template=REF)
    return {PREFIX + name: schema for name, schema in found["$defs"].items()}


def _open() -> dict[str, Any]:
    body = {"required": False, "content": _json(SessionRequest)}
    return _operation(
        "Opens or resumes a session", {201: SessionOpened}, (400, 401, 403, 413, 415, 422, 429, 503)
    ) | {
        "requestBody": body,
        "security": [],
    }


def _end() -> dict[str, Any]:
    return _operation("Revokes the session", {200: SessionEndedBody}, (401, 403, 503))


def _history() -> dict[str, Any]:
    numbers = {"before": {"type": "integer", "minimum": 1}, "limit": {"type": "integer", "minimum": 1}}
    parameters = [{"name": n, "in": "query", "required": False, "schema": s} for n, s in numbers.items()]
    page = _operation("Older messages, newest last", {200: MessagesPage}, (400, 401, 403, 503))
    return page | {"parameters": parameters}


def _upload() -> dict[str, Any]:
    return _operation("Takes a file; follows in a later version", {}, (401, 403, 501))


def _socket() -> dict[str, Any]:
    operation = _operation(
        "The socket: frames are the schemas ChatClientFrame and ChatServerFrame", {}, (403,)
    )
    operation["responses"]["101"] = {"description": "The first frame is a hello, which carries the session."}
    return operation | {"security": []}


def _operation(
    summary: str, answers: dict[int, type[BaseModel]], refusals: tuple[int, ...]
) -> dict[str, Any]:
    done = {
        str(status): {"description": "done", "content": _json(model)} for status, model in answers.items()
    }
    refused = {str(s): {"description": REFUSALS[s], "content": _json(ErrorBody)} for s in refusals}
    return {"summary": summary, "responses": done | refused, "security": SESSION}


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}
