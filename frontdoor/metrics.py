"""What the front door counts, in Prometheus' form. No label holds an id, a text or anything that a caller chooses freely."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_TURN_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return field(default_factory=lambda: Counter(name, text, labels, registry=None))


@dataclass(frozen=True)
class Metrics:
    """Counters of one front door, in a registry of its own so that several applications fit into one process."""

    http_requests: Counter = _counter("foyer_http_requests", "Requests answered", "route", "method", "status")
    messages_accepted: Counter = _counter(
        "foyer_messages_accepted", "Customers' messages committed", "channel"
    )
    turns: Counter = _counter(
        "foyer_turns", "Turns ended: answered, handoff, outdated, failed, retried", "outcome"
    )
    handoffs: Counter = _counter("foyer_handoffs", "Handoffs asked for", "reason")
    deliveries: Counter = _counter(
        "foyer_deliveries", "Messages sent to vendors, by what became of them", "outcome"
    )
    http_seconds: Histogram = field(
        default_factory=lambda: Histogram(
            "foyer_http_seconds",
            "Seconds to answer a request",
            ["route"],
            registry=None,
            buckets=_REQUEST_SECONDS,
        )
    )
    turn_seconds: Histogram = field(
        default_factory=lambda: Histogram(
            "foyer_turn_seconds",
            "Seconds from claiming a turn to its commit",
            registry=None,
            buckets=_TURN_SECONDS,
        )
    )
    sockets: Gauge = field(
        default_factory=lambda: Gauge(
            "foyer_sockets", "Open WebSockets: chat or desk", ["kind"], registry=None
        )
    )
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        for metric in self.all():
            self.registry.register(metric)

    def all(self) -> tuple[Counter | Histogram | Gauge, ...]:
        """Every metric, for registration and for the test that holds the documentation to them."""
        return (
            self.http_requests,
            self.messages_accepted,
            self.turns,
            self.handoffs,
            self.deliveries,
            self.http_seconds,
            self.turn_seconds,
            self.sockets,
        )

    def request_ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Counts one answered request; ``route`` is the pattern (``/media/{id}``), never the path itself."""
        self.http_requests.labels(route, method, str(status)).inc()
        self.http_seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """Everything in the text form that a Prometheus server scrapes."""
        return generate_latest(self.registry)
