"""One process at a time in a home: an advisory lock that ends with its holder, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class HeldError(Exception):
    """Another process holds the lock; ``note`` is what it left there (its pid among it)."""

    def __init__(self, path: Path, note: dict[str, Any]) -> None:
        super().__init__(f"{path} is held by process {note.get('pid', '?')}")
        self.note = note


@contextlib.contextmanager
def held(path: Path, **note: Any) -> Iterator[None]:
    """Holds the lock file ``path`` with ``note`` and this process's id in it, or raises HeldError at once."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldError(path, _read_note(descriptor)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), **note}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> dict[str, Any] | None:
    """The note of the process that holds ``path`` now, or None."""
    try:
        with held_for_reading(path):
            return None
    except HeldError as error:
        return error.note
    except OSError:
        return None


@contextlib.contextmanager
def held_for_reading(path: Path) -> Iterator[None]:
    """Tries the lock without writing into it; raises HeldError, or FileNotFoundError: never held."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldError(path, _read_note(descriptor)) from None
        yield
    finally:
        os.close(descriptor)


def _read_note(descriptor: int) -> dict[str, Any]:
    try:
        note = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}
