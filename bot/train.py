"""Trains and validates the assistant.

    python -m bot.train               train when something changed since the last model
    python -m bot.train --check       say whether a training is due: exit code 0 up to date, 1 due; takes no Rasa
    python -m bot.train --validate    look for mistakes in the training data

Exit codes: 0 done, 1 something in the training data is wrong (or, with --check, a training is due), 2 can't.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bot.inputs import STAMP, Project, Wrong, why_train

KEPT_MODELS = 3
ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(argv)
    root = options.root.resolve()
    project, out = Project(root), (options.out or root / "bot" / "models").resolve()
    if not project.config.is_file():
        print(f"{project.config} is missing: there is nothing to train", file=sys.stderr)
        return 2
    if options.check:
        return _check(project, out)
    os.chdir(root)
    try:
        return _validate(project) if options.validate else _train(project, out, force=options.force)
    except Wrong as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bot.train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="only say whether a training is due")
    what.add_argument("--validate", action="store_true", help="only look for mistakes")
    what.add_argument("--force", action="store_true", help="train though nothing changed")
    parser.add_argument("--out", type=Path, help="where models go (default: bot/models)")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder with config.yml, domain/ and data/")
    return parser


def _check(project: Project, out: Path) -> int:
    reason = why_train(project, out)
    print("up to date" if reason is None else f"training is due: {reason}")
    return 0 if reason is None else 1


def _train(project: Project, out: Path, *, force: bool) -> int:
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        reason = "asked for" if force else why_train(project, out)
        if reason is None:
            print("The model is up to date.")
            return 0
        print(f"Training: {reason}.", flush=True)
        started = time.monotonic()
        inputs = project.fingerprint()
        with tempfile.TemporaryDirectory(dir=out, prefix=".new-") as room:
            fresh = _make_model(project, Path(room), inputs)
            os.replace(fresh, out / fresh.name)
        seconds = round(time.monotonic() - started, 1)
        _write_stamp(
            out, {"inputs": inputs, "model": fresh.name, "at": _now().isoformat(), "seconds": seconds}
        )
        _forget_old(out)
        print(f"Trained {fresh.name} in {seconds:g} s.")
    return 0


def _make_model(project: Project, room: Path, inputs: str) -> Path:
    """Train into `room` and return the model's file."""
    from bot.workbench import refuse_conversation_starts, train_model

    refuse_conversation_starts(project)
    name = f"{_now():%Y%m%d-%H%M%S}-{inputs[:8]}"
    return train_model(project, room, name)


def _validate(project: Project) -> int:
    from bot.workbench import refuse_conversation_starts, validate

    refuse_conversation_starts(project)
    validate(project)
    print("No mistakes found.")
    return 0


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Wait for another training in the same folder to end."""
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another training is under way; waiting for it.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_stamp(out: Path, stamp: dict[str, object]) -> None:
    fresh = out / f".{STAMP}"
    fresh.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    os.replace(fresh, out / STAMP)


def _forget_old(out: Path) -> None:
    models = sorted(out.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for model in models[KEPT_MODELS:]:
        model.unlink(missing_ok=True)


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
