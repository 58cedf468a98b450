"""The build of the pages: when it is due, and what it needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from frontdoor import frontend, schemas
from frontdoor.frontend import FrontendError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose pages were just built."""
    folder = tmp_path / "desk"
    (folder / "src" / "protocol").mkdir(parents=True)
    (folder / "dist").mkdir()
    (folder / "node_modules" / "x").mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    (folder / "src" / "main.ts").write_text("export {};")
    (folder / "src" / "protocol" / "schemas.json").write_text("{}")
    (folder / "dist" / "index.html").write_text("built")
    monkeypatch.setattr(frontend, "DESK", folder)
    frontend._write_stamp(folder / "dist", frontend._content_hash())
    return folder


def test_what_is_built_is_left_alone(desk: Path) -> None:
    assert frontend.is_current()
    said: list[str] = []
    frontend.build_if_changed(said.append)
    assert said == []


@pytest.mark.parametrize("made", ["node_modules/x/index.js", "dist/assets.js", "src/protocol/desk.ts"])
def test_what_a_build_makes_is_no_source(desk: Path, made: str) -> None:
    (desk / made).write_text("changed")
    assert frontend.is_current()


@pytest.mark.parametrize("source", ["src/main.ts", "src/new.svelte", "package-lock.json"])
def test_a_changed_source_is_seen(desk: Path, source: str) -> None:
    (desk / source).write_text("changed, and longer than before")
    assert not frontend.is_current()


def test_a_lost_build_is_seen(desk: Path) -> None:
    (desk / "dist" / "index.html").unlink()
    assert not frontend.is_current()


def test_a_broken_stamp_only_costs_a_build(desk: Path) -> None:
    (desk / "dist" / ".stamp").write_text("[")
    assert not frontend.is_current()


def test_without_sources_the_packed_pages_are_current(desk: Path) -> None:
    (desk / "package.json").unlink()
    assert frontend.is_current()
    assert frontend.dist_folder() == ROOT / "frontdoor" / "dist"


def test_without_node_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(frontend, "NODE_HOME", tmp_path / "none")
    with pytest.raises(FrontendError, match=r"Node\.js 20\.19 or newer.*Remedy"):
        frontend.node_command("npm")


def test_an_old_node_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder, version in (("old", "v18.20.0"), ("own/bin", "v24.1.0")):
        (tmp_path / folder).mkdir(parents=True)
        for program in ("node", "npm"):
            path = tmp_path / folder / program
            path.write_text(f"#!/bin/sh\necho {version}\n")
            path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "old"))
    monkeypatch.setattr(frontend, "NODE_HOME", tmp_path / "own")
    assert frontend.node_command("npm", "ci") == (str(tmp_path / "own" / "bin" / "npm"), "ci")


def test_npm_learns_nothing_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOYER_SECRET", "s" * 40)
    assert not any(name.startswith("FOYER_") for name in frontend.node_environment())


def test_locks_name_no_registry() -> None:
    package = json.loads((ROOT / "desk" / "package-lock.json").read_text())
    entries = [one for name, one in package["packages"].items() if name]
    assert all("resolved" not in one and one.get("integrity") for one in entries)
    assert not re.search(r"https?://", (ROOT / "desk" / "node.lock").read_text())
    assert "--hash=sha256:" in (ROOT / "desk" / "node.lock").read_text()


def test_what_is_published_has_the_names_that_types_are_made_of() -> None:
    published = schemas.published()
    assert {"State", "HandoffEvent", "ContextNow"} <= set(published["desk"])
    assert {"ChatClientFrame", "ChatServerFrame"} <= set(published["webchat"])
