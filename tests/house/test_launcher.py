"""The launcher, with a stand-in for uv: what it sets up, when, and what it says when it can't."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = (
    "cat",
    "cksum",
    "dirname",
    "ln",
    "mkdir",
    "ps",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
)

FAKE_UV = """#!/bin/sh
printf '%s\\n' "$*" >>"$UV_LOG"
for last; do :; done
case "$1 $2" in
    "venv --quiet") mkdir -p "$last/bin" && ln -s "$UV_PYTHON_LINK" "$last/bin/python" ;;
    "pip sync")
        if [ -n "${UV_GATE:-}" ]; then read -r _ <"$UV_GATE"; fi
        exit "${UV_SYNC_CODE:-0}"
        ;;
esac
"""

FAKE_PROGRAM = """
import json, os, sys
print(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ), "path": sys.path}))
"""


@dataclass
class Project:
    """A copy of the launcher beside small locks, with a PATH of its own."""

    root: Path
    bin: Path
    log: Path

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": str(self.bin),
            "UV_LOG": str(self.log),
            "UV_PYTHON_LINK": os.path.realpath(sys.executable),
            **more,
        }

    def start(
        self, *arguments: str, launcher: Path | None = None, cwd: Path | None = None, **more: str
    ) -> Started:
        done = subprocess.run(
            [launcher or self.root / "foyer", *arguments],
            cwd=cwd or self.bin,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=50,
        )
        return Started(done.returncode, done.stdout, done.stderr)

    def uv_calls(self, what: str) -> list[str]:
        if not self.log.exists():
            return []
        return [line for line in self.log.read_text().splitlines() if line.startswith(what)]


@dataclass
class Started:
    """How one start ended."""

    code: int
    out: str
    told: str

    @property
    def program(self) -> dict[str, object]:
        seen: dict[str, object] = json.loads(self.out)
        return seen


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "a folder with spaces"
    (root / "frontdoor").mkdir(parents=True)
    (root / "bot").mkdir()
    shutil.copy(ROOT / "foyer", root / "foyer")
    (root / "desk").mkdir()
    (root / "desk" / "node.lock").write_text("three\n")
    (root / "requirements.lock").write_text("one\n")
    (root / "bot" / "requirements.lock").write_text("two\n")
    (root / "frontdoor" / "__main__.py").write_text(FAKE_PROGRAM)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        if found is not None:
            (tools / tool).symlink_to(found)
    (tools / "uv").write_text(FAKE_UV)
    (tools / "uv").chmod(0o755)
    return Project(root, tools, tmp_path / "uv.log")


def test_first_start_makes_every_environment_and_the_second_touches_nothing(project: Project) -> None:
    first = project.start("up", "--port", "81", "a b")
    assert first.code == 0, first.told
    assert first.program["argv"] == ["up", "--port", "81", "a b"]
    assert len(project.uv_calls("venv")) == len(project.uv_calls("pip sync")) == 3
    assert "setting up the front door" in first.told

    project.log.unlink()
    second = project.start("up")
    assert second.code == 0
    assert second.told == ""
    assert not project.log.exists()


@pytest.mark.parametrize(("version", "wanted"), [("v22.4.1", False), ("v20.19.0", False), ("v20.18.9", True)])
def test_node_is_brought_only_where_there_is_none_or_an_old_one(
    project: Project, version: str, wanted: bool
) -> None:
    for tool in ("node", "npm"):
        (project.bin / tool).write_text(f"#!/bin/sh\necho {version}\n")
        (project.bin / tool).chmod(0o755)
    assert project.start("up").code == 0
    assert (project.root / ".venv-node").exists() is wanted


@pytest.mark.parametrize("arguments", [["chat"], ["serve"], ["up", "--help"], ["doctor"], []])
def test_only_what_needs_rasa_sets_up_its_environment(project: Project, arguments: list[str]) -> None:
    assert project.start(*arguments).code == 0
    assert (project.root / ".venv").exists()
    assert not (project.root / "bot" / ".venv").exists()


def test_a_changed_lock_is_synchronised_into_the_same_environment(project: Project) -> None:
    project.start("chat")
    (project.root / "requirements.lock").write_text("other\n")
    project.log.unlink()
    assert project.start("chat").code == 0
    assert len(project.uv_calls("pip sync")) == 1
    assert project.uv_calls("venv") == []


def test_an_environment_that_was_moved_is_made_again(project: Project) -> None:
    project.start("chat")
    moved = project.root.with_name("elsewhere")
    project.root.rename(moved)
    project.log.unlink()
    assert project.start("chat", launcher=moved / "foyer").code == 0
    assert len(project.uv_calls("venv")) == 1


def test_works_through_a_link_from_anywhere_and_leaves_the_folder_alone(
    project: Project, tmp_path: Path
) -> None:
    link = tmp_path / "elsewhere" / "foyer link"
    link.parent.mkdir()
    link.symlink_to(Path("..") / project.root.name / "foyer")
    (link.parent / "frontdoor.py").write_text("raise SystemExit('the wrong one')")
    started = project.start("chat", launcher=link, cwd=link.parent)
    assert started.code == 0, started.told
    assert started.program["cwd"] == str(link.parent)
    assert str(link.parent) not in started.program["path"]  # type: ignore[operator]


def test_foreign_python_settings_do_not_reach_us(project: Project) -> None:
    started = project.start("chat", VIRTUAL_ENV="/x", PYENV_VERSION="2.7", PYTHONHOME="/no", PYTHONPATH="/no")
    environment = started.program["environment"]
    assert isinstance(environment, dict)
    assert environment["PYTHONPATH"] == str(project.root)
    assert not environment.keys() & {"VIRTUAL_ENV", "PYENV_VERSION", "PYTHONHOME"}


def test_failed_installation_says_which_step_needs_a_network(project: Project) -> None:
    started = project.start("chat", UV_SYNC_CODE="1")
    assert started.code == 2
    assert "could not install the libraries of requirements.lock into .venv" in started.told
    assert "needs the network" in started.told
    assert not (project.root / ".setup.lock").is_symlink()

    assert project.start("chat").code == 0, "the next start mends it"


def test_without_uv_and_without_pip_it_says_what_to_install(project: Project) -> None:
    (project.bin / "uv").unlink()
    # A Python that runs, but has neither venv nor pip, as on a bare Debian.
    (project.bin / "python3").write_text('#!/bin/sh\n[ "$1" = -c ]\n')
    (project.bin / "python3").chmod(0o755)
    started = project.start("chat")
    assert started.code == 2
    assert "apt install python3-venv" in started.told


def test_a_shim_that_does_not_work_is_passed_over(project: Project) -> None:
    (project.bin / "uv").rename(project.bin / "real-uv")
    (project.bin / "uv").write_text("#!/bin/sh\nexit 127\n")
    (project.bin / "uv").chmod(0o755)
    own = project.root / ".venv-uv" / "bin"
    own.mkdir(parents=True)
    (own / "uv").symlink_to(project.bin / "real-uv")
    assert project.start("chat").code == 0


def test_the_lock_of_a_dead_start_is_broken(project: Project) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (project.root / ".setup.lock").symlink_to(f"pid:{ended.pid}")
    assert project.start("chat").code == 0
    assert not (project.root / ".setup.lock").is_symlink()


def test_two_first_starts_set_up_once(project: Project, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    environment = project.environment(UV_GATE=str(gate))
    command = [str(project.root / "foyer"), "chat"]
    first = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # Open once the first one's uv reads from it: from then on the first one holds the lock.
    with gate.open("w") as open_gate:
        second = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert second.stderr is not None
        assert f"another start (process {first.pid}) is setting up" in second.stderr.readline()
        open_gate.write("\n")
    assert first.communicate(timeout=30)[0]
    assert second.communicate(timeout=30)[0]
    assert first.returncode == second.returncode == 0
    assert len(project.uv_calls("pip sync")) == 1


def test_an_interrupted_set_up_leaves_no_lock_and_no_stamp(project: Project, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    started = subprocess.Popen(
        [str(project.root / "foyer"), "chat"],
        env=project.environment(UV_GATE=str(gate)),
        stderr=subprocess.DEVNULL,
    )
    with gate.open("w") as open_gate:
        started.terminate()
        open_gate.write("\n")
    assert started.wait(timeout=30) == 143
    assert not (project.root / ".setup.lock").is_symlink()
    assert not (project.root / ".venv" / ".foyer-stamp").exists()
