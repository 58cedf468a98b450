"""Holds what really comes over the wire against the schemas that are published."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from handoff import openapi


@cache
def _definitions() -> dict[str, Any]:
    return openapi.schemas()


@cache
def validator(name: str) -> Draft202012Validator:
    """The validator of one published schema."""
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": _definitions()})


@cache
def _operations() -> list[tuple[str, re.Pattern[str], Any]]:
    found = []
    for path, methods in openapi.describe()["paths"].items():
        pattern = re.compile(path.replace("{id}", "[^/]+"))
        found += [(method.upper(), pattern, operation) for method, operation in methods.items()]
    return found


def must_answer(method: str, path: str, status: int, body: Any) -> None:
    """The status is one that the description names for this address, and the body is what it promises."""
    for described, pattern, operation in _operations():
        if described == method and pattern.fullmatch(path):
            answer = operation["responses"].get(str(status))
            assert answer is not None, f"{method} {path} answered {status}, which is not described"
            ref = answer["content"]["application/json"]["schema"]["$ref"]
            validator(ref.rsplit("/", 1)[1]).validate(body)
            return
    validator("ErrorAnswer").validate(body)


@cache
def _event_names() -> dict[str, str]:
    return openapi.event_names()


def must_be_event(event: Any) -> None:
    """The frame is as its type's schema says."""
    validator(_event_names()[event["type"]]).validate(event)
