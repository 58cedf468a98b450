"""What is published for programs: OpenAPI and JSON Schemas, equal to what the application really serves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator

from handoff import desk, openapi

from .contract import validator
from .office import Office

PAGE = Path(__file__).parents[2] / "docs" / "protocols-desk.md"


def test_the_description_is_valid_openapi() -> None:
    openapi_spec_validator.validate(openapi.describe())


def test_the_schemas_are_valid() -> None:
    found = openapi.schemas()
    for schema in found.values():
        Draft202012Validator.check_schema(schema)
    assert {"Context", "HandoffShape", "State", "ErrorAnswer", "TypingNote", "HandoffEvent"} <= set(found)


async def test_the_description_has_the_addresses_that_are_served(small_office: Office) -> None:
    described = {
        (method.upper(), path) for path, methods in openapi.describe()["paths"].items() for method in methods
    }
    served = {
        (route.method, route.resource.canonical)
        for route in small_office.app.router.routes()
        if route.resource is not None and route.method != "*"
    }
    assert described == served


def test_every_address_has_a_name_and_a_summary() -> None:
    operations = [o for methods in openapi.describe()["paths"].values() for o in methods.values()]
    assert len({o["operationId"] for o in operations}) == len(desk.ROUTES)
    assert all(o["summary"] for o in operations)


EXAMPLES = re.findall(r"```json (\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_examples_of_the_page_are_as_published(name: str, example: str) -> None:
    validator(name).validate(json.loads(example))


def test_the_page_names_every_address_and_event() -> None:
    page = PAGE.read_text()
    for route in desk.ROUTES:
        assert f"`{route.path.rsplit('/', 1)[1]}`" in page or route.path in page or _tail(route.path) in page
    for name in openapi.event_names():
        assert f"`{name}`" in page


def _tail(path: str) -> str:
    """The last part, as the page writes it for a conversation: `.../notes`."""
    return ".../" + path.rsplit("/", 1)[1]
