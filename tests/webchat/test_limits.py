"""Token buckets, and whom they count."""

from __future__ import annotations

import pytest

from connectors.webchat.limits import Limiter, peer_key
from tests.webchat.world import Seconds


def test_a_burst_then_the_rate() -> None:
    clock = Seconds(step=0)
    limiter = Limiter(rate=10, burst=20, clock=clock)
    assert [limiter.take("a") for _ in range(20)] == [0.0] * 20
    assert limiter.take("a") == pytest.approx(0.1)
    clock.now += 0.1
    assert limiter.take("a") == 0
    assert limiter.take("a") > 0


def test_what_was_saved_is_bounded() -> None:
    clock = Seconds(step=0)
    limiter = Limiter(rate=1, burst=2, clock=clock)
    limiter.take("a")
    clock.now += 1000
    assert [limiter.take("a") > 0 for _ in range(3)] == [False, False, True]


def test_one_key_does_not_cost_another() -> None:
    limiter = Limiter(rate=1, burst=1, clock=Seconds(step=0))
    assert limiter.take("a") == limiter.take("b") == 0
    assert limiter.take("a") > 0


def test_memory_is_bounded_and_the_quietest_is_forgotten() -> None:
    limiter = Limiter(rate=1, burst=1, clock=Seconds(step=0), keys=2)
    for key in ("quiet", "loud", "loud", "third"):
        limiter.take(key)
    assert limiter.take("loud") > 0
    assert limiter.take("quiet") == 0


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::1", peer_key("2001:db8:1:2:ffff::9")),
        (None, "unknown"),
        ("", "unknown"),
        ("unix", "unknown"),
    ],
)
def test_who_counts_as_one(address: str | None, key: str) -> None:
    assert peer_key(address) == key


def test_other_networks_count_apart() -> None:
    assert peer_key("2001:db8:1:2::1") != peer_key("2001:db8:1:3::1")
