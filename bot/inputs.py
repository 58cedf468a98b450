"""What a model is made from, and whether the model at hand is made from it. Needs neither Rasa nor any library."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAMP = "trained.json"
# Raise it when this program makes other models from the same inputs.
FORM = 1

_COMPONENT = re.compile(r"\bbot\.[a-z_]\w*(?:\.[a-z_]\w*)*")
_IMPORT = re.compile(r"^\s*(?:from|import)\s+(bot(?:\.[a-z_]\w*)+)", re.MULTILINE)


class Wrong(Exception):
    """Something is wrong with the inputs; the message tells a designer what and where."""


@dataclass(frozen=True)
class Project:
    """The folder with config.yml, domain/ and data/."""

    root: Path

    @property
    def config(self) -> Path:
        """Return the pipeline's and the policies' configuration."""
        return self.root / "config.yml"

    @property
    def domain(self) -> Path:
        """Return the domain: a folder, or else one file."""
        folder = self.root / "domain"
        return folder if folder.is_dir() else self.root / "domain.yml"

    @property
    def data(self) -> Path:
        """Return the folder of training data."""
        return self.root / "data"

    def training_files(self) -> list[Path]:
        """Return the files with training data; test conversations are none."""
        tests = self.data / "tests"
        return [path for path in _yaml_files(self.data) if tests not in path.parents]

    def files(self) -> list[Path]:
        """Return everything that a model depends on, in a fixed order."""
        domain = _yaml_files(self.domain) if self.domain.is_dir() else [self.domain]
        lock = self.root / "bot" / "requirements.lock"
        found = {self.config, *domain, *self.training_files(), *self._components(), lock}
        return sorted(path for path in found if path.is_file())

    def fingerprint(self) -> str:
        """Return a hash that changes whenever one of the files does, is added or goes."""
        total = hashlib.sha256(str(FORM).encode())
        for path in self.files():
            total.update(path.relative_to(self.root).as_posix().encode() + b"\0")
            total.update(hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()

    def _components(self) -> set[Path]:
        """Return the modules of our own that config.yml names, those they import, and the spaCy pipeline's maker."""
        if not self.config.is_file():
            return set()
        names = set(_COMPONENT.findall(self.config.read_text(encoding="utf-8"))) | {"bot.language"}
        found: set[Path] = set()
        while names:
            path = self._module(names.pop())
            if path is not None and path not in found:
                found.add(path)
                names |= set(_IMPORT.findall(path.read_text(encoding="utf-8")))
        return found

    def _module(self, name: str) -> Path | None:
        """Return the file of a module, or of the module that has what `name` names."""
        parts = name.split(".")
        for length in range(len(parts), 1, -1):
            for path in (
                self.root.joinpath(*parts[:length]).with_suffix(".py"),
                self.root.joinpath(*parts[:length], "__init__.py"),
            ):
                if path.is_file():
                    return path
        return None


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(path for path in _walk(folder) if path.suffix in {".yml", ".yaml", ".json"})


def _walk(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def read_stamp(out: Path) -> dict[str, Any]:
    """Return what was noted of the last training; empty when there was none or the note cannot be read."""
    try:
        stamp = json.loads((out / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def why_train(project: Project, out: Path) -> str | None:
    """Return why a training is due, for a person, or None when the model is up to date."""
    stamp = read_stamp(out)
    model = stamp.get("model")
    if not isinstance(model, str):
        return "there is no model yet"
    if not (out / model).is_file():
        return f"the model {model} is gone"
    newest = max(out.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
    if newest.name != model:
        return f"{newest.name} is newer than the model that was trained here"
    if stamp.get("inputs") != project.fingerprint():
        return "its inputs changed"
    return None
