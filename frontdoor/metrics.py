"""What the front door counts. No label holds an id, a text or what a caller chooses freely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_TURN_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16)


def _counter(name: str, text: str, *labels: str) -> Callable[[], Counter]:
    return lambda: Counter(name, text, labels, registry=None)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Callable[[], Histogram]:
    return lambda: Histogram(name, text, labels, registry=None, buckets=buckets)


def _gauge(name: str, text: str, *labels: str) -> Callable[[], Gauge]:
    return lambda: Gauge(name, text, labels, registry=None)


_requests = _counter("foyer_http_requests", "Requests answered", "route", "method", "status")
_request_seconds = _histogram("foyer_http_seconds", "Seconds to answer a request", _REQUEST_SECONDS, "route")
_accepted = _counter("foyer_messages_accepted", "Customers' messages committed", "channel")
_turns = _counter("foyer_turns", "Turns ended: answered, handoff, outdated, failed, retried", "outcome")
_turn_seconds = _histogram("foyer_turn_seconds", "Seconds from claiming a turn to its commit", _TURN_SECONDS)
_handoffs = _counter("foyer_handoffs", "Handoffs asked for", "reason")
_deliveries = _counter("foyer_deliveries", "Messages given to vendors, by what became of them", "outcome")
_sockets = _gauge("foyer_sockets", "Open WebSockets: chat or desk", "kind")


@dataclass(frozen=True)
class Metrics:
    """Counters of one front door, in a registry of its own: several applications fit into one process."""

    http_requests: Counter = field(default_factory=_requests)
    http_seconds: Histogram = field(default_factory=_request_seconds)
    messages_accepted: Counter = field(default_factory=_accepted)
    turns: Counter = field(default_factory=_turns)
    turn_seconds: Histogram = field(default_factory=_turn_seconds)
    handoffs: Counter = field(default_factory=_handoffs)
    deliveries: Counter = field(default_factory=_deliveries)
    sockets: Gauge = field(default_factory=_sockets)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        for metric in self._own():
            self.registry.register(metric)

    def names(self) -> list[str]:
        """Names of every metric, without the endings that Prometheus adds."""
        return [described.name for metric in self._own() for described in metric.describe()]

    def _own(self) -> list[Counter | Histogram | Gauge]:
        return [getattr(self, part.name) for part in fields(self) if part.name != "registry"]

    def request_ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Counts one answered request; ``route`` is the pattern (``/media/{id}``), never the path itself."""
        self.http_requests.labels(route, method, str(status)).inc()
        self.http_seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """Everything in the text form that a Prometheus server scrapes."""
        return generate_latest(self.registry)
