"""The page about web chat shows what is true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from connectors.webchat import frames, schemas, socket

PAGE = (Path(__file__).parents[2] / "docs" / "protocols-webchat.md").read_text()
EXAMPLES = re.findall(r"^```json (\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("schema", "example"), EXAMPLES, ids=lambda part: part[:40])
def test_examples_are_of_their_schema(schema: str, example: str) -> None:
    Draft202012Validator(schemas()[schema]).validate(json.loads(example))


def shown(schema: str) -> set[str]:
    return {json.loads(example)["type"] for name, example in EXAMPLES if name == schema}


def types_of(union: Any) -> set[str]:
    return {get_args(model.model_fields["type"].annotation)[0] for model in get_args(union)}


def test_every_body_and_frame_is_shown() -> None:
    assert {name for name, _ in EXAMPLES} == set(schemas())
    assert shown("ChatClientFrame") == types_of(frames.ClientFrame)
    assert shown("ChatServerFrame") == types_of(frames.ServerFrame)


def test_every_error_code_is_explained() -> None:
    codes = set(get_args(frames.ErrorFrame.model_fields["code"].annotation)) - {"no_upload"}
    for code in codes:
        assert f"| `{code}` |" in PAGE


def test_every_close_code_is_explained() -> None:
    codes = {value for name, value in vars(socket).items() if name.isupper() and value in range(4400, 4500)}
    assert len(codes) >= 5
    for code in codes | {4409, 1001}:
        assert f"| {code} |" in PAGE
