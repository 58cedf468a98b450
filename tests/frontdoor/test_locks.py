from __future__ import annotations

import os
from pathlib import Path

import pytest

from frontdoor.locks import HeldError, held, holder


def test_the_second_holder_learns_who_the_first_is(tmp_path: Path) -> None:
    lock = tmp_path / "up.lock"
    with held(lock, port=81):
        assert holder(lock) == {"pid": os.getpid(), "port": 81}
        with pytest.raises(HeldError) as caught, held(lock):
            pass
        assert caught.value.note["port"] == 81
        assert holder(lock) == {"pid": os.getpid(), "port": 81}, "the loser wrote nothing"


def test_a_lock_is_free_after_its_holder_and_before_any(tmp_path: Path) -> None:
    lock = tmp_path / "up.lock"
    assert holder(lock) is None
    assert not lock.exists(), "looking makes nothing"
    with held(lock, port=81):
        pass
    assert holder(lock) is None
    with held(lock, port=82):
        assert (holder(lock) or {})["port"] == 82
