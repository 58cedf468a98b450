"""The assistant as it is shipped: its test conversations, and what it understands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.tests.conftest import ROOT

TESTS = ROOT / "data" / "tests"


@pytest.fixture(scope="module")
def shipped() -> Path:
    """Return the shipped assistant's model, trained again only when its inputs changed."""
    out = ROOT / "var" / "tests" / "shipped"
    done = _run("-m", "bot.train", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    return max(out.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="module")
def agent(shipped: Path, working_from_root: None) -> Any:
    from rasa.core.agent import Agent

    return Agent.load(str(shipped))


@pytest.fixture(scope="module")
def working_from_root() -> Any:
    """The spaCy pipeline's place in config.yml is relative to the project."""
    before = Path.cwd()
    os.chdir(ROOT)
    yield
    os.chdir(before)


@pytest.mark.timeout(240)
def test_every_shipped_conversation_goes_as_written(shipped: Path, tmp_path: Path) -> None:
    done = _run(
        "-m", "rasa", "test", "core", "--e2e", "--fail-on-prediction-errors", "--no-plot",
        "--model", str(shipped), "--stories", str(TESTS), "--out", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "all good" in (tmp_path / "failed_test_stories.yml").read_text(encoding="utf-8")


def test_known_messages_stay_understood(agent: Any) -> None:
    missed = _missed(agent, TESTS / "understanding.yml")
    assert len(missed) <= 5, missed
    assert not [one for one in missed if one[1] == "request_human"]


def test_unseen_requests_for_a_person_are_understood(agent: Any) -> None:
    missed = _missed(agent, TESTS / "unseen.yml")
    assert not [one for one in missed if "request_human" in one[1:]]


def _missed(agent: Any, path: Path) -> list[tuple[str, str, str]]:
    """Return (text, right intent, understood intent) of each message understood wrongly."""
    from rasa.shared.nlu.training_data.loading import load_data

    async def understood(text: str) -> str:
        return str((await agent.parse_message(text))["intent"]["name"])

    found = []
    for example in load_data(str(path)).intent_examples:
        text, right = example.get("text"), example.get("intent")
        got = asyncio.run(understood(text))
        if got != right and not (right == "out_of_scope" and got == "nlu_fallback"):
            found.append((text, right, got))
    return found


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
