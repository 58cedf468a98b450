"""Token buckets: how often somebody may do something, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

Clock = Callable[[], float]
"""Seconds that only grow, such as `time.monotonic`."""


class Bucket:
    """Holds up to `burst` tokens and gains `rate` of them each second."""

    __slots__ = ("_at", "_level")

    def __init__(self, burst: float, now: float) -> None:
        self._level = burst
        self._at = now

    def take(self, rate: float, burst: float, now: float) -> float:
        """Takes a token and returns 0, or returns the seconds until there will be one."""
        self._level = min(burst, self._level + (now - self._at) * rate)
        self._at = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / rate


class Limiter:
    """A bucket for each key; when there are too many keys, the one that was quiet longest is forgotten."""

    def __init__(self, rate: float, burst: float, clock: Clock, keys: int = 20_000) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._keys = keys
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, key: str) -> float:
        """0 when the key may go on, else the seconds to wait."""
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._burst, now)
            if len(self._buckets) > self._keys:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.take(self._rate, self._burst, now)


def peer_key(address: str | None) -> str:
    """The part of a peer's address that one person holds: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else f"{int(parsed) >> 64:x}::/64"
    return str(parsed)
