"""What is published for programs: OpenAPI and JSON Schemas, equal to what the application really serves."""

from __future__ import annotations

import openapi_spec_validator
from jsonschema import Draft202012Validator

from handoff import desk, openapi

from .office import Office


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
