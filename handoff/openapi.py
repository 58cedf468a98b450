"""The desk's API described for programs: OpenAPI 3.1 and JSON Schemas, from the models that the code itself uses."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from . import schema
from .context import Context
from .desk import ROUTES, Route, Who

REF = "#/components/schemas/{model}"

COMMON = {
    400: "malformed",
    401: "no session",
    403: "not yours",
    413: "too large",
    415: "not JSON",
    422: "well-formed but wrong",
}
TEXTS = COMMON | {
    404: "not found",
    409: "conflict",
    426: "not a WebSocket",
    429: "too many",
    503: "try again later",
}


def describe() -> dict[str, Any]:
    """The OpenAPI description of every address of the desk."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Foyer: the agents' desk", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": schemas(REF),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "foyer_desk_{installation}"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def schemas(ref: str = "#/$defs/{model}") -> dict[str, Any]:
    """JSON Schemas of every body, answer and event, and of the handoff's context, by name."""
    models: list[type[BaseModel]] = [Context, schema.ErrorAnswer, *schema.EVENTS]
    for route in ROUTES:
        models += [route.body] if route.body else []
        models += [answer for _, answer in route.answers]
    unique = list(dict.fromkeys(models))
    _, found = models_json_schema([(model, "validation") for model in unique], ref_template=ref)
    definitions: dict[str, Any] = found["$defs"]
    return definitions


def event_names() -> dict[str, str]:
    """The name of the schema of each type of event."""
    return {_constant(model): model.__name__ for model in schema.EVENTS}


def _constant(model: type[BaseModel]) -> str:
    value: str = model.model_json_schema()["properties"]["type"]["const"]
    return value


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "description": f"For: {route.who.value}.",
        "operationId": f"{route.handler.__name__.strip('_')}",
        "parameters": _parameters(route),
        "responses": _responses(route),
        "security": [] if route.who is Who.ANYBODY else [{"session": []}, {"token": []}],
    }
    if route.body is not None:
        required = route.body.model_json_schema().get("required", [])
        operation["requestBody"] = {"required": bool(required), "content": _json(route.body)}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found = []
    if "{id}" in route.path:
        shape = {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"}
        found.append({"name": "id", "in": "path", "required": True, "schema": shape})
    names = {"messages": ("before", "limit"), "ws": ("after",)}.get(route.path.rsplit("/", 1)[1], ())
    if route.method == "GET":
        found += [{"name": n, "in": "query", "schema": {"type": "integer", "minimum": 0}} for n in names]
    return found


def _responses(route: Route) -> dict[str, Any]:
    answers: dict[str, Any] = {
        str(status): {"description": "done", "content": _json(model)} for status, model in route.answers
    }
    if not route.answers:
        answers["101"] = {"description": "Frames are the schemas whose names end in Event, and TypingNote."}
    body_only = () if route.body is not None else (413, 415, 422)
    refused = [status for status in (*COMMON, 503, *route.problems) if status not in body_only]
    problems = {
        str(status): {"description": TEXTS[status], "content": _json(schema.ErrorAnswer)}
        for status in sorted(set(refused))
    }
    return answers | problems


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}
