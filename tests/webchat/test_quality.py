"""The channel is registered, and what it says of itself is well-formed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import connectors

ROOT = Path(connectors.__file__).parent
NEEDED = {"done": None, "todo": "missing", "exempt": "reason"}


def quality(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(ROOT / name / "quality.yml")
    return loaded


@pytest.mark.parametrize("name", sorted(connectors.CHANNELS))
def test_every_channel_says_what_it_keeps_to(name: str) -> None:
    found = quality(name)
    assert found["channel"] == name
    for rule, stated in found["rules"].items():
        status = stated if isinstance(stated, str) else stated["status"]
        assert status in NEEDED, rule
        word = NEEDED[status]
        if word:
            assert stated.get(word), f"{rule} is {status} without a {word}"


def test_every_folder_is_registered() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/quality.yml")}
    assert folders == set(connectors.CHANNELS)


def test_the_registry_holds() -> None:
    connectors.check_names()
    assert connectors.load("webchat").__name__ == "connectors.webchat"


def test_an_unknown_channel_fails_by_name() -> None:
    with pytest.raises(connectors.UnknownChannel, match=r"'fax'.*webchat"):
        connectors.check_names(["webchat", "fax"])
