"""The benchmark of turns reports what it saw, and says honestly what missed its budget."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bench import figures, turns
from bench.figures import Budget
from bench.turns import Answer, Failed, Load, around, converse, load, main


class Talker:
    """Answers at once, and counts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[str] = []

    async def say(self, text: str) -> Answer:
        self.heard.append(text)
        await asyncio.sleep(0)
        return Answer(0.001 * len(self.heard), actions=len(self.heard) % 2)


def test_budgets_are_limits_upwards_or_downwards() -> None:
    assert Budget(10).ok(10)
    assert not Budget(10).ok(10.1)
    assert Budget(120, "least").ok(120)
    assert not Budget(120, "least").ok(119.9)


def test_a_report_names_what_was_missed() -> None:
    found = figures.report("turns", {"turn_p50_ms": 11.0, "rasa_rss_mb": 500.0}, turns.BUDGETS)
    assert found["budgets"] == {
        "turn_p50_ms": {"limit": 10, "ok": False},
        "rasa_rss_mb": {"limit": 750, "ok": True},
    }
    assert found["machine"]["cpus"]
    assert found["at"].endswith("Z")


def test_reports_stand_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "before.json"
    figures.write(path, figures.report("turns", {"turn_p50_ms": 8.0}, {}))
    out = io.StringIO()
    now = figures.report("turns", {"turn_p50_ms": 10.0, "new_ms": 1.0}, {"turn_p50_ms": Budget(9)})
    figures.show(now, figures.read(path), Console(file=out, width=120))
    assert "8.00" in out.getvalue()
    assert "+25%" in out.getvalue()
    assert "missed" in out.getvalue()


@pytest.mark.parametrize("content", ["{", "[]", '{"figures": 1}'])
def test_what_is_no_report_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"report|JSON|Expecting"):
        figures.read(path)
    assert main(["--against", str(path)]) == 2


def test_texts_are_said_in_turn() -> None:
    talker = Talker("one")
    answers = asyncio.run(converse(talker, ["a", "b"], 5))  # type: ignore[arg-type]
    assert talker.heard == ["a", "b", "a", "b", "a"]
    assert len(answers) == 5


def test_a_load_has_every_answer_of_every_client() -> None:
    made: list[Talker] = []

    def make(name: str) -> Talker:
        made.append(Talker(name))
        return made[-1]

    found = asyncio.run(load(make, 3, ["a", "b"], 4, conversations=2))  # type: ignore[arg-type]
    assert len(found.answers) == 24
    assert len({talker.name for talker in made}) == 6
    assert found.per_second > 0


def test_percentiles_may_count_turns_with_actions_only() -> None:
    answers = [Answer(0.001 * number, actions=number % 2) for number in range(1, 101)]
    found = Load(answers, 1.0)
    assert found.milliseconds(0.5) == pytest.approx(51)
    assert found.milliseconds(0.99) == pytest.approx(100)
    assert found.milliseconds(0, with_action=True) == pytest.approx(1)
    with pytest.raises(Failed):
        Load([Answer(0.001)], 1.0).milliseconds(0.5, with_action=True)


def test_a_turn_is_judged_with_its_neighbours() -> None:
    answers = [Answer(0.001 * number) for number in range(1, 21)]
    assert around(answers, 5, 2) == pytest.approx(5)
    assert around(answers, 1, 1) == pytest.approx(1.5)


def test_names_of_figures_stay() -> None:
    """Other programs compare them; see the list of the protocols."""
    source = Path(turns.__file__).read_text()
    for name in (
        "turn_p50_ms",
        "turn_p99_ms",
        "action_turn_p50_ms",
        "turn_500_over_5",
        "over_stock_at_turn_100",
    ):
        assert f'"{name}"' in source
    assert json.dumps(turns.BUDGETS["turn_p50_ms"].limit) == "10"
