from __future__ import annotations

from frontdoor.metrics import Metrics


def test_requests_and_outcomes_are_counted_for_each_application_apart() -> None:
    one, other = Metrics(), Metrics()
    one.request_ended("/media/{id}", "GET", 200, 0.004)
    one.turns.labels("answered").inc()
    text = one.render().decode()
    assert 'foyer_http_requests_total{method="GET",route="/media/{id}",status="200"} 1.0' in text
    assert 'foyer_http_seconds_bucket{le="0.005",route="/media/{id}"} 1.0' in text
    assert 'foyer_turns_total{outcome="answered"} 1.0' in text
    assert 'outcome="answered"' not in other.render().decode()


def test_every_metric_carries_the_project_s_name() -> None:
    assert all(name.startswith("foyer_") for name in Metrics().names())
