"""Password hashes (argon2id), made and checked beside the event loop, one at a time: each takes 64 MiB."""

from __future__ import annotations

import asyncio
import threading
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_LENGTH = 10
MAX_LENGTH = 256

_one_at_a_time = threading.Lock()


async def hashed(password: str) -> str:
    """The hash that is stored for the password."""
    return await asyncio.to_thread(_hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the one whose hash was stored. Without a hash it takes the same time and is False."""
    return await asyncio.to_thread(_matches, stored, password)


@cache
def _hasher() -> PasswordHasher:
    # Loaded when first needed: most processes never check a password.
    from argon2 import PasswordHasher

    return PasswordHasher()


@cache
def _decoy() -> str:
    return _hasher().hash("nobody has this password")


def _hash(password: str) -> str:
    with _one_at_a_time:
        return _hasher().hash(_encodable(password))


def _matches(stored: str | None, password: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    with _one_at_a_time:
        try:
            return _hasher().verify(stored or _decoy(), _encodable(password)) and stored is not None
        except (Argon2Error, InvalidHashError):
            return False


def _encodable(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
