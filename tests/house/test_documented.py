"""What people read must be whole: every setting, command and metric is written down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from frontdoor.cli import app
from frontdoor.metrics import Metrics
from frontdoor.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).parents[2]
SETTINGS = sorted(PREFIX + name.upper() for name in Settings.model_fields)
_ASSIGNMENT = re.compile(r"^#(FOYER_\w+)=(.*)$", re.MULTILINE)


def test_env_example_names_every_setting_and_no_other() -> None:
    names = [name for name, _ in _ASSIGNMENT.findall((ROOT / ".env.example").read_text())]
    assert sorted(names) == SETTINGS


def test_env_example_shows_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings(_env_file=None)
    for name, value in _ASSIGNMENT.findall((ROOT / ".env.example").read_text()):
        if value and "/path/to" not in value:
            monkeypatch.setenv(name, value)
    shown = load_settings(_env_file=None)
    assert shown == defaults


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_is_in_the_operator_s_page(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "operate.md").read_text()


def commands(command: Any, words: tuple[str, ...] = ("./foyer",)) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(words), command
        return
    for name, one in inner.items():
        yield from commands(one, (*words, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_is_documented_and_helps(name: str) -> None:
    assert f"`{name}" in (ROOT / "docs" / "run-it.md").read_text()
    command = COMMANDS[name]
    assert command.help
    assert all(getattr(option, "help", True) for option in command.params)


@pytest.mark.parametrize("metric", Metrics().names())
def test_metric_is_in_the_operator_s_page(metric: str) -> None:
    assert f"`{metric}" in (ROOT / "docs" / "operate.md").read_text()


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    # Code is shown, not followed: training data mark entities as pages mark links.
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
